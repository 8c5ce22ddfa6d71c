# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of memctl for fish.

# What follows the options: the command and its arguments.
function __memctl_words
    set -l words
    set -l skip no
    for word in (commandline -opc)[2..]
        if test $skip = yes
            set skip no
        else if test "$word" = --socket
            set skip yes
        else if not string match -q -- '-*' $word
            set -a words $word
        end
    end
    if set -q words[1]
        printf '%s\n' $words
    end
end

function __memctl_at -a count
    test (count (__memctl_words)) -eq $count
end

function __memctl_guest_wanted
    set -l words (__memctl_words)
    test (count $words) -eq 1; and contains -- $words[1] show set
end

function __memctl_listing
    set -l words (__memctl_words)
    test "$words[1]" = list
end

function __memctl_setting_wanted
    set -l words (__memctl_words)
    test (count $words) -ge 2; and test $words[1] = set
end

function __memctl_guests
    set -l ask memctl
    set -l words (commandline -opc)
    if set -l at (contains -i -- --socket $words); and test (count $words) -gt $at
        set -a ask --socket $words[(math $at + 1)]
    end
    $ask --json list --all 2>/dev/null | string replace -rf '^    "name": "([^"\\\\]*)",$' '$1'
end

complete -c memctl -f
complete -c memctl -l json -d 'print JSON for programs'
complete -c memctl -l socket -rF -d 'socket of the daemon'
complete -c memctl -n __memctl_listing -l all -d 'also guests that do not run'
complete -c memctl -s h -l help -d 'tell how to use it'
complete -c memctl -s V -l version -d 'print the version'
complete -c memctl -n '__memctl_at 0' -a status -d 'show the daemon, the host and the budget'
complete -c memctl -n '__memctl_at 0' -a list -d 'list the guests with their memory'
complete -c memctl -n '__memctl_at 0' -a show -d 'show all about one guest'
complete -c memctl -n '__memctl_at 0' -a set -d 'change a guest\'s settings'
complete -c memctl -n '__memctl_at 0' -a reload -d 'have the daemon read its configuration again'
complete -c memctl -n '__memctl_at 0' -a version -d 'print the versions'
complete -c memctl -n __memctl_guest_wanted -a '(__memctl_guests)' -d guest
complete -c memctl -n __memctl_setting_wanted -a 'shares= min= max= managed=yes managed=no'
