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
    elif compset -P 'last-resort='; then
        compadd none suspend save
    elif compset -P '*='; then
        _message 'value; empty takes the setting back'
    else
        compadd -S '' shares= min= max= managed= last-resort= cooldown= dedupe= trust-domain=
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
        'top:watch host and guests live'
        'list:list the guests with their memory and why it is what it is'
        'show:show all about one guest'
        'explain:say in sentences why a guest has what it has'
        'events:print what changed, and follow what changes'
        'dedupe:show which guests have equal pages'
        'agent:what agents say and what is missing; add a channel'
        'history:show how a guest, or the host, fared'
        'doctor:find what is wrong with host and guests'
        "set:change a guest's settings"
        'admit:make room for a guest before it starts'
        'pause:leave one guest alone, or all'
        'resume:let one guest, or all, be moved again'
        'policy:look at the policies, choose one, ask one'
        'snapshot:print what the policy is asked'
        'replay:decide again what a recording decided'
        'reload:have the daemon read its configuration again'
        'capacity:what could be added at which risk'
        'plan:would anyone have been short with a change'
        'simulate:try policies on a simulated host, in virtual time'
        'version:print the versions of memctl and of the running daemon'
        'help:tell more of a command'
    )

    _arguments -C \
        '--json[print JSON for programs]' \
        '--all[list: guests that do not run as well; doctor: also what is well]' \
        '--sources[list: from what it is known how much each works with]' \
        '--socket[socket of the daemon]:socket:_files' \
        '(-h --help)'{-h,--help}'[tell how to use it]' \
        '(-V --version)'{-V,--version}'[print the version]' \
        '(-f --follow)'{-f,--follow}'[events: go on with what happens]' \
        '--since[events, history, capacity, plan: from this time on]:time:' \
        '--until[history, capacity, plan: up to this time]:time:' \
        '--tier[history, capacity, plan: which rows]:tier:(raw minute hour)' \
        '--store[history, capacity, plan: the file itself]:file:_files' \
        '--csv[history: print all rows]' \
        '--decisions[history: print the last targets, and why]' \
        '*--add[plan: more guests]:SIZExN:' \
        '--like[plan: new guests are like this one]:guest:_memctl_guests' \
        '--use[plan: the part of their memory that new guests use]:part:' \
        '*--remove[plan: without this guest]:guest:_memctl_guests' \
        '--host-memory[plan: memory of the host]:size:' \
        '--budget[plan: budget of all guests]:size:' \
        '--guest[events, admit: the guest]:guest:_memctl_guests' \
        '--matrix[dedupe: who shares with whom]' \
        '--sketch[dedupe: write a sketch]:file:_files' \
        '--overlap[dedupe: compare sketches]' \
        '*--param[policy, simulate: a parameter of the policy]:NAME=VALUE:' \
        '--policy[policy eval, simulate: the policy to ask]:policy:_memctl_policies' \
        '--compare[simulate: policies with commas between them]:policies:' \
        '--size[admit: what the guest is started with]:size:' \
        '--min[admit: its reservation]:size:' \
        '--xml[admit: its domain XML]:file:_files' \
        '--wait[admit: wait so long for room]:time:' \
        '--hold[admit: keep the room so long]:time:' \
        '--force[admit: say yes in the end]' \
        '--interval[simulate, top: time between two looks]:time:' \
        '--connect[doctor: where libvirt is]:URI:' \
        '--root[doctor: a copy of a host]:folder:_files -/' \
        '--once[top: print one picture]' \
        '--sort[top: the column to sort by]:column:(name actual used target move shares saving why)' \
        '--filter[top: only guests with this in name or reason]:text:' \
        '--plot[simulate, history, plan: draw memory over time]:file:_files' \
        '--series[simulate: moments in the JSON]:number:' \
        '1:command:->command' \
        '2:guest:->guest' \
        '*:setting:->setting'
    case $state in
    command) _describe command commands ;;
    guest)
        case $line[1] in
        show | explain | set | pause | resume) _memctl_guests ;;
        history)
            compadd host
            _memctl_guests
            ;;
        policy) compadd list show use eval ;;
        agent) compadd status enable ;;
        help) _describe command commands ;;
        replay | simulate | dedupe) _files ;;
        esac
        ;;
    setting)
        case $line[1] in
        set) _memctl_settings ;;
        agent) _memctl_guests ;;
        policy) [[ $line[2] == eval ]] && _files || _memctl_policies ;;
        esac
        ;;
    esac
}

_memctl "$@"
