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
    if compset -P 'managed='; then
        compadd yes no
    elif compset -P '*='; then
        _message 'value; empty takes the setting back'
    else
        compadd -S '' shares= min= max= managed=
    fi
}

_memctl() {
    local curcontext=$curcontext state line
    local -A opt_args
    local -a commands=(
        'status:show the daemon, the host and the budget'
        'list:list the guests with their memory and why it is what it is'
        'show:show all about one guest'
        "set:change a guest's shares, min, max or managed"
        'reload:have the daemon read its configuration again'
        'version:print the versions of memctl and of the running daemon'
    )

    _arguments -C \
        '--json[print JSON for programs]' \
        '--all[list guests that do not run as well]' \
        '--socket[socket of the daemon]:socket:_files' \
        '(-h --help)'{-h,--help}'[tell how to use it]' \
        '(-V --version)'{-V,--version}'[print the version]' \
        '1:command:->command' \
        '2:guest:->guest' \
        '*:setting:->setting'
    case $state in
    command) _describe command commands ;;
    guest) [[ $line[1] == (show|set) ]] && _memctl_guests ;;
    setting) [[ $line[1] == set ]] && _memctl_settings ;;
    esac
}

_memctl "$@"
