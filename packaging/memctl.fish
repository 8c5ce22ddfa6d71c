# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of memctl for fish.

# What follows the options: the command and its arguments.
function __memctl_words
    set -l words
    set -l skip no
    for word in (commandline -opc)[2..]
        if test $skip = yes
            set skip no
        else if contains -- $word --socket --policy --param --compare --interval --plot --sketch --series --since --guest --sort --filter --until --tier --store --add --like --use --remove --host-memory --budget --connect --root
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
    if test (count $words) -eq 1
        contains -- $words[1] show explain history set pause resume
    else
        test (count $words) -eq 2; and test $words[1] = agent
    end
end

function __memctl_policy_wanted
    set -l words (__memctl_words)
    test (count $words) -eq 2; and test $words[1] = policy; and contains -- $words[2] show use
end

function __memctl_listing
    set -l words (__memctl_words)
    test "$words[1]" = list
end

function __memctl_examining
    set -l words (__memctl_words)
    test "$words[1]" = doctor
end

function __memctl_watching
    set -l words (__memctl_words)
    test "$words[1]" = top
end

function __memctl_following
    set -l words (__memctl_words)
    test "$words[1]" = events
end

function __memctl_looking_back
    set -l words (__memctl_words)
    contains -- "$words[1]" history capacity plan
end

function __memctl_command_is -a name
    set -l words (__memctl_words)
    test "$words[1]" = $name
end

function __memctl_admitting
    set -l words (__memctl_words)
    test "$words[1]" = admit
end

function __memctl_deduping
    set -l words (__memctl_words)
    test "$words[1]" = dedupe
end

function __memctl_setting_wanted
    set -l words (__memctl_words)
    test (count $words) -ge 2; and test $words[1] = set
end

function __memctl_simulated
    contains -- simulate (__memctl_words)
end

# memctl, with the socket that the line names.
function __memctl_ask
    set -l ask memctl
    set -l words (commandline -opc)
    if set -l at (contains -i -- --socket $words); and test (count $words) -gt $at
        set -a ask --socket $words[(math $at + 1)]
    end
    $ask --json $argv 2>/dev/null
end

function __memctl_guests
    __memctl_ask list --all | string replace -rf '^    "name": "([^"\\\\]*)",$' '$1'
end

function __memctl_policies
    __memctl_ask policy list | string replace -rf '^      "name": "([^"\\\\]*)",$' '$1'
end

complete -c memctl -f
complete -c memctl -l json -d 'print JSON for programs'
complete -c memctl -l socket -rF -d 'socket of the daemon'
complete -c memctl -n __memctl_listing -l all -d 'also guests that do not run'
complete -c memctl -n __memctl_listing -l sources -d 'from what it is known how much each works with'
complete -c memctl -s h -l help -d 'tell how to use it'
complete -c memctl -s V -l version -d 'print the version'
complete -c memctl -n '__memctl_at 0' -a status -d 'show the daemon, the host and the budget'
complete -c memctl -n '__memctl_at 0' -a top -d 'watch host and guests live'
complete -c memctl -n __memctl_watching -l once -d 'print one picture'
complete -c memctl -n __memctl_watching -l interval -x -d 'time between two looks'
complete -c memctl -n __memctl_watching -l sort -x -a 'name actual used target move shares saving why'
complete -c memctl -n __memctl_watching -l filter -x -d 'only guests with this in name or reason'
complete -c memctl -n '__memctl_at 0' -a list -d 'list the guests with their memory'
complete -c memctl -n '__memctl_at 0' -a show -d 'show all about one guest'
complete -c memctl -n '__memctl_at 0' -a explain -d 'say why a guest has what it has'
complete -c memctl -n '__memctl_at 0' -a events -d 'print and follow what changes'
complete -c memctl -n __memctl_following -s f -l follow -d 'go on with what happens'
complete -c memctl -n __memctl_following -l since -x -d 'from this time on'
complete -c memctl -n __memctl_following -l guest -x -a '(__memctl_guests)' -d 'about this guest'
complete -c memctl -n '__memctl_at 0' -a agent -d 'what agents say and what is missing'
complete -c memctl -n '__memctl_at 1; and test (__memctl_words) = agent' -a 'status enable'
complete -c memctl -n '__memctl_at 0' -a history -d 'show how a guest, or the host, fared'
complete -c memctl -n '__memctl_at 0' -a capacity -d 'what could be added at which risk'
complete -c memctl -n '__memctl_at 0' -a plan -d 'would anyone have been short with a change'
complete -c memctl -n __memctl_looking_back -l since -x -d 'from this time on'
complete -c memctl -n __memctl_looking_back -l until -x -d 'up to this time'
complete -c memctl -n __memctl_looking_back -l tier -x -a 'raw minute hour' -d 'which rows'
complete -c memctl -n __memctl_looking_back -l store -rF -d 'the file itself'
complete -c memctl -n '__memctl_command_is history' -l csv -d 'print all rows'
complete -c memctl -n '__memctl_command_is history' -l decisions -d 'the last targets, and why'
complete -c memctl -n '__memctl_command_is history; or __memctl_command_is plan' -l plot -rF -d 'draw memory over time'
complete -c memctl -n '__memctl_command_is plan' -l add -x -d 'more guests, SIZExN'
complete -c memctl -n '__memctl_command_is plan' -l like -x -a '(__memctl_guests)' -d 'new guests are like this one'
complete -c memctl -n '__memctl_command_is plan' -l use -x -d 'the part of their memory that new guests use'
complete -c memctl -n '__memctl_command_is plan' -l remove -x -a '(__memctl_guests)' -d 'without this guest'
complete -c memctl -n '__memctl_command_is plan' -l host-memory -x -d 'memory of the host'
complete -c memctl -n '__memctl_command_is plan' -l budget -x -d 'budget of all guests'
complete -c memctl -n '__memctl_at 0' -a doctor -d 'find what is wrong with host and guests'
complete -c memctl -n __memctl_examining -l all -d 'also what is well'
complete -c memctl -n __memctl_examining -l connect -x -d 'where libvirt is'
complete -c memctl -n __memctl_examining -l root -rF -d 'a copy of a host'
complete -c memctl -n '__memctl_at 0' -a dedupe -d 'show which guests have equal pages'
complete -c memctl -n __memctl_deduping -F
complete -c memctl -n __memctl_deduping -l matrix -d 'who shares with whom'
complete -c memctl -n __memctl_deduping -l plot -rF -d 'the same as a picture'
complete -c memctl -n __memctl_deduping -l sketch -rF -d 'write a sketch'
complete -c memctl -n __memctl_deduping -l overlap -d 'compare sketches'
complete -c memctl -n '__memctl_at 0' -a set -d 'change a guest\'s settings'
complete -c memctl -n '__memctl_at 0' -a admit -d 'make room for a guest before it starts'
complete -c memctl -n __memctl_admitting -l size -x -d 'what it is started with'
complete -c memctl -n __memctl_admitting -l min -x -d 'its reservation'
complete -c memctl -n __memctl_admitting -l xml -rF -d 'its domain XML'
complete -c memctl -n __memctl_admitting -l guest -x -a '(__memctl_guests)' -d 'whose start ends the pledge'
complete -c memctl -n __memctl_admitting -l wait -x -d 'wait so long for room'
complete -c memctl -n __memctl_admitting -l hold -x -d 'keep the room so long'
complete -c memctl -n __memctl_admitting -l force -d 'say yes in the end'
complete -c memctl -n '__memctl_at 0' -a pause -d 'leave a guest alone, or all'
complete -c memctl -n '__memctl_at 0' -a resume -d 'let a guest move again, or all'
complete -c memctl -n '__memctl_at 0' -a policy -d 'look at the policies, choose one, ask one'
complete -c memctl -n '__memctl_at 0' -a snapshot -d 'print what the policy is asked'
complete -c memctl -n '__memctl_at 0' -a replay -d 'decide again what a recording decided'
complete -c memctl -n '__memctl_at 1; and test (__memctl_words) = replay' -F
complete -c memctl -n '__memctl_at 0' -a reload -d 'have the daemon read its configuration again'
complete -c memctl -n '__memctl_at 0' -a simulate -d 'try policies on a simulated host'
complete -c memctl -n '__memctl_at 0' -a version -d 'print the versions'
complete -c memctl -n '__memctl_at 1; and test (__memctl_words) = policy' -a 'list show use eval'
complete -c memctl -n '__memctl_words | string match -q policy' -l param -x -d 'NAME=VALUE'
complete -c memctl -n '__memctl_words | string match -q policy' -l policy -x -d 'the policy to ask'
complete -c memctl -n '__memctl_at 0' -a help -d 'tell more of a command'
complete -c memctl -n '__memctl_command_is help; and __memctl_at 1' -a '(complete -C "memctl ")'
complete -c memctl -n __memctl_policy_wanted -a '(__memctl_policies)' -d policy
complete -c memctl -n __memctl_guest_wanted -a '(__memctl_guests)' -d guest
complete -c memctl -n __memctl_setting_wanted -a 'shares= min= max= managed=yes managed=no last-resort=none last-resort=suspend last-resort=save cooldown= dedupe=yes dedupe=no trust-domain='
complete -c memctl -n __memctl_simulated -F
complete -c memctl -n __memctl_simulated -l policy -x -d 'the policy, with parameters after colons'
complete -c memctl -n __memctl_simulated -l param -x -d 'a parameter of the policy'
complete -c memctl -n __memctl_simulated -l compare -x -d 'policies, with commas between them'
complete -c memctl -n __memctl_simulated -l interval -x -d 'time between two looks'
complete -c memctl -n __memctl_simulated -l plot -rF -d 'draw memory over time'
complete -c memctl -n __memctl_simulated -l series -x -d 'moments in the JSON'
complete -c memctl -n '__memctl_command_is history; and __memctl_at 1' -a host -d 'the host itself'
