# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of memctl for bash.

# Names of all guests; nothing when no daemon answers or may be asked.
_memctl_guests() {
    "$@" --json list --all 2>/dev/null | sed -n 's/^    "name": "\([^"\\]*\)",$/\1/p'
}

_memctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local -a memctl=("${COMP_WORDS[0]}") words=()
    local i name IFS=$'\n'

    # "min=1" arrives as three words: put the setting together again.
    if [[ $cur == = ]]; then
        cur=
    fi
    if [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}=
    elif [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
        prev+='='
    fi

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket)
            memctl+=(--socket "${COMP_WORDS[++i]}")
            if [[ ${COMP_WORDS[i]} == = ]]; then
                memctl[2]=${COMP_WORDS[++i]}
            fi
            ;;
        --policy | --param | --compare | --interval | --plot | --series | --sort | --filter | --since | --until | --tier | --store | --add | --like | --use | --remove | --host-memory | --budget | --connect | --root)
            ((++i))
            if [[ ${COMP_WORDS[i]} == = ]]; then
                ((++i))
            fi
            ;;
        -*) ;;
        *) words+=("${COMP_WORDS[i]}") ;;
        esac
    done

    COMPREPLY=()
    case $prev in
    --socket | --socket= | --plot | --plot= | --sketch | --sketch= | --store | --store= | --root | --root=)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    last-resort=)
        mapfile -t COMPREPLY < <(compgen -W $'none\nsuspend\nsave' -- "$cur")
        return
        ;;
    managed= | dedupe=)
        mapfile -t COMPREPLY < <(compgen -W $'yes\nno' -- "$cur")
        return
        ;;
    --sort | --sort=)
        mapfile -t COMPREPLY < <(
            compgen -W $'name\nactual\nused\ntarget\nmove\nshares\nsaving\nwhy' -- "$cur"
        )
        return
        ;;
    --policy | --param | --compare | --interval | --series | --since | --filter | --connect) return ;;
    --guest | --guest= | --like | --remove) ;;
    --tier)
        mapfile -t COMPREPLY < <(compgen -W $'raw\nminute\nhour' -- "$cur")
        return
        ;;
    *=) return ;;
    esac
    if [[ $cur == -* && ${words[0]-} == list ]]; then
        mapfile -t COMPREPLY < <(compgen -W $'--all\n--sources\n--json\n--socket\n--help' -- "$cur")
        return
    fi
    if [[ $prev == --guest || $prev == --guest= || $prev == --like || $prev == --remove ]]; then
        while read -r name; do
            if [[ $name == "$cur"* ]]; then
                COMPREPLY+=("$(printf %q "$name")")
            fi
        done < <(_memctl_guests "${memctl[@]}")
        return
    fi
    if [[ $cur == -* && ${words[0]-} == events ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--follow\n--since\n--guest\n--json\n--socket\n--help' -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == admit ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--size\n--min\n--xml\n--guest\n--wait\n--hold\n--force\n--json\n--socket\n--help' \
                -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == history ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--since\n--until\n--tier\n--csv\n--plot\n--decisions\n--store\n--json\n--socket\n--help' \
                -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == capacity ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--since\n--until\n--tier\n--store\n--json\n--socket\n--help' -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == plan ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--add\n--like\n--use\n--remove\n--host-memory\n--budget\n--since\n--until\n--tier\n--plot\n--store\n--json\n--socket\n--help' \
                -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == doctor ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--all\n--connect\n--root\n--json\n--socket\n--help' -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == top ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--once\n--interval\n--sort\n--filter\n--socket\n--help' -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == dedupe ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--matrix\n--plot\n--sketch\n--overlap\n--json\n--socket\n--help' \
                -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == simulate ]]; then
        mapfile -t COMPREPLY < <(
            compgen -W $'--policy\n--param\n--compare\n--interval\n--plot\n--series\n--json\n--help' \
                -- "$cur"
        )
        return
    fi
    if [[ $cur == -* && ${words[0]-} == policy ]]; then
        mapfile -t COMPREPLY < <(compgen -W $'--param\n--policy\n--json\n--socket\n--help' -- "$cur")
        return
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W $'--json\n--socket\n--help\n--version' -- "$cur")
        return
    fi
    case ${words[0]-}:${#words[@]} in
    :0)
        mapfile -t COMPREPLY < <(
            compgen -W $'status\ntop\nlist\nshow\nexplain\nevents\ndedupe\nagent\nhistory\ndoctor\nset\nadmit\npause\nresume\npolicy\nsnapshot\ncapacity\nplan\nsimulate\nreplay\nreload\nversion\nhelp' -- "$cur"
        )
        ;;
    help:1)
        mapfile -t COMPREPLY < <(
            compgen -W "$("${memctl[@]}" --help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p')" -- "$cur"
        )
        ;;
    agent:1)
        mapfile -t COMPREPLY < <(compgen -W $'status\nenable' -- "$cur")
        ;;
    policy:1)
        mapfile -t COMPREPLY < <(compgen -W $'list\nshow\nuse\neval' -- "$cur")
        ;;
    policy:2)
        case ${words[1]} in
        show | use)
            mapfile -t COMPREPLY < <(
                compgen -W "$("${memctl[@]}" --json policy list 2>/dev/null |
                    sed -n 's/^      "name": "\([^"\\]*\)",$/\1/p')" -- "$cur"
            )
            ;;
        eval) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        esac
        ;;
    replay:1) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    show:1 | explain:1 | history:1 | set:1 | pause:1 | resume:1 | agent:2)
        while read -r name; do
            if [[ $name == "$cur"* ]]; then
                COMPREPLY+=("$(printf %q "$name")")
            fi
        done < <(
            if [[ ${words[0]} == history ]]; then
                echo host
            fi
            _memctl_guests "${memctl[@]}"
        )
        ;;
    simulate:* | dedupe:*)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null
        ;;
    set:*)
        mapfile -t COMPREPLY < <(compgen -W $'shares=\nmin=\nmax=\nmanaged=\nlast-resort=\ncooldown=\ndedupe=\ntrust-domain=' -- "$cur")
        compopt -o nospace 2>/dev/null
        ;;
    esac
}

complete -F _memctl memctl
