# SPDX-License-Identifier: LGPL-2.1-or-later
# capture.zsh FOLDER LINE: what zsh would offer after LINE, one word a line, with the completion in
# FOLDER. Zsh completes only on a terminal, so it gets one; compadd tells what it was given.
zmodload zsh/zpty
zpty shell zsh -f -i
setup="PROMPT=; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D
bindkey '^I' complete-word
compadd() {
    local -a hits
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd \"\$@\"; return; fi
    builtin compadd -A hits \"\$@\"
    print -rl -- '' \"offered \"\$^hits
    builtin compadd \"\$@\"
}
tell-end() { print -r -- ''; print -r -- 'offered'-all; }
comppostfuncs=(tell-end)
print -r ready-'now'"
zpty -w shell "$setup"
zpty -r -m shell said '*ready-now*'
zpty -w -n shell "$2"$'\t'
zpty -r -m shell said '*offered-all*'
print -r -- "$said" | tr -d '\r' | sed -n 's/^offered //p'
zpty -d shell
