#compdef memctl
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of memctl for zsh.

_memctl_guests() {
    local -a guests ask=(memctl)

    if [[ -n ${opt_args[--socket]-} ]]; then
        ask+=(--socket ${(Q)opt_args[--socket]})
    fi
    guests=(${(f)"$($ask --json list --all 2>/dev/null | sed -n 's/^    "name": "\([^"\\]*\)",$/\1/p')"})
    compadd -a guests
}

_memctl_settings() {
    if compset -P '(managed|dedupe)='; then
        compadd yes no
    elif compset -P '*='; then
        _message 'value; empty takes the setting back'
    else
        compadd -S '' shares= min= max= managed= dedupe= trust-domain=
    fi
}

_memctl_policies() {
    local -a policies ask=(memctl)

    if [[ -n ${opt_args[--socket]-} ]]; then
        ask+=(--socket ${(Q)opt_args[--socket]})
    fi
    policies=(${(f)"$($ask --json policy list 2>/dev/null |
        sed -n 's/^      "name": "\([^"\\]*\)",$/\1/p')"})
    compadd -a policies
}

_memctl() {
    local curcontext=$curcontext state line
    local -A opt_args
    local -a commands=(
        'status:show the daemon, the host and the budget'
        'list:list the guests with their memory and why it is what it is'
        'show:show all about one guest'
        'explain:say in sentences why a guest has what it has'
        'events:print what changed, and follow what changes'
        'dedupe:show which guests have equal pages'
        "set:change a guest's shares, min, max or managed"
        'pause:leave one guest alone, or all'
        'resume:let one guest, or all, be moved again'
        'policy:look at the policies, choose one, ask one'
        'snapshot:print what the policy is asked'
        'replay:decide again what a recording decided'
        'reload:have the daemon read its configuration again'
        'simulate:try policies on a simulated host, in virtual time'
        'version:print the versions of memctl and of the running daemon'
    )

    _arguments -C \
        '--json[print JSON for programs]' \
        '--all[list guests that do not run as well]' \
        '--socket[socket of the daemon]:socket:_files' \
        '(-h --help)'{-h,--help}'[tell how to use it]' \
        '(-V --version)'{-V,--version}'[print the version]' \
        '(-f --follow)'{-f,--follow}'[events: go on with what happens]' \
        '--since[events: from this time on]:time:' \
        '--guest[events: about this guest]:guest:_memctl_guests' \
        '--matrix[dedupe: who shares with whom]' \
        '--sketch[dedupe: write a sketch]:file:_files' \
        '--overlap[dedupe: compare sketches]' \
        '*--param[policy, simulate: a parameter of the policy]:NAME=VALUE:' \
        '--policy[policy eval, simulate: the policy to ask]:policy:_memctl_policies' \
        '--compare[simulate: policies with commas between them]:policies:' \
        '--interval[simulate: time between two looks]:time:' \
        '--plot[simulate: draw memory over time; dedupe: the matrix]:file:_files' \
        '--series[simulate: moments in the JSON]:number:' \
        '1:command:->command' \
        '2:guest:->guest' \
        '*:setting:->setting'
    case $state in
    command) _describe command commands ;;
    guest)
        case $line[1] in
        show | explain | set | pause | resume) _memctl_guests ;;
        policy) compadd list show use eval ;;
        replay | simulate | dedupe) _files ;;
        esac
        ;;
    setting)
        case $line[1] in
        set) _memctl_settings ;;
        policy) [[ $line[2] == eval ]] && _files || _memctl_policies ;;
        esac
        ;;
    esac
}

_memctl "$@"
