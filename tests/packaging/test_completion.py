#!/usr/bin/env python3
"""
What bash, zsh and fish offer after a piece of a command line, with a memctld that runs:
test_completion.py BUILD_DIR. Prints TAP. A shell that is not installed is left out.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
PACKAGING = HERE.parents[1] / "packaging"
sys.path.insert(0, str(HERE.parent / "tools"))

import tap  # noqa: E402
from memctld import STRICT, simulate, wait_for  # noqa: E402

SCENARIO = {"host": {"memory": "8G", "used": "1G"},
            "guests": [{"name": "web1", "memory": "1G", "working_set": "60M"},
                       {"name": "db1", "memory": "1G", "working_set": "60M"}]}
BASH = """
source "$1"
compopt() { :; }
IFS=' ' read -ra COMP_WORDS <<<"$2"
if [[ $2 == *' ' ]]; then COMP_WORDS+=(''); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_memctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Shells:
    """Asks each of the shells there is; they find memctl, and its socket, as a user's would."""

    def __init__(self, memctld):
        self.folder = Path(tempfile.mkdtemp(dir=memctld.folder))
        shutil.copy(PACKAGING / "memctl.zsh", self.folder / "_memctl")
        program = Path(memctld.build).resolve() / "cli"
        self.environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}",
                            "MEMCTL_SOCKET": str(memctld.socket), "HOME": str(self.folder),
                            "TERM": "dumb", "XDG_DATA_HOME": str(self.folder)}
        self.names = [name for name in ("bash", "zsh", "fish") if shutil.which(name)]
        print(f"# shells: {' '.join(self.names)}")

    def command(self, shell, line):
        if shell == "bash":
            return ["bash", "-c", BASH, "bash", PACKAGING / "memctl.bash", line]
        if shell == "zsh":
            return ["zsh", "-f", HERE / "capture.zsh", self.folder, line]
        return ["fish", "--no-config", "-c",
                f"source {PACKAGING}/memctl.fish; complete -C '{line}'"]

    def offers(self, line):
        """The words that each shell offers, by its name."""
        for shell in self.names:
            done = subprocess.run(self.command(shell, line), capture_output=True, text=True,
                                  env=self.environment, timeout=60, stdin=subprocess.DEVNULL)
            yield shell, {word.split("\t")[0].strip() for word in done.stdout.splitlines()}


def with_shells(test):
    def run(build):
        with simulate(build, SCENARIO, STRICT, budget="4G") as memctld:
            wait_for("guests", lambda: len(memctld.guests()) == 2)
            test(memctld, Shells(memctld))
    run.__name__ = test.__name__
    return run


def summary_of(memctld, *arguments):
    done = memctld.run(*arguments)
    assert done.returncode == 0, done
    return done.stdout


def commands(memctld):
    return set(re.findall(r"(?m)^  ([a-z]+)  ", summary_of(memctld, "--help")))


@with_shells
def offers_every_command(memctld, shells):
    wanted = commands(memctld) | {"help"}
    assert len(wanted) > 20, wanted
    for shell, words in shells.offers("memctl "):
        assert wanted <= words, (shell, wanted - words)


@with_shells
def offers_every_option_of_a_command(memctld, shells):
    for command in sorted(commands(memctld)):
        options = set(re.findall(r"(?m)^  (--[a-z-]+)", summary_of(memctld, "help", command)))
        if not options:
            continue
        for shell, words in shells.offers(f"memctl {command} --"):
            assert options <= words, (shell, command, options - words, words)


@with_shells
def offers_the_names_of_guests(memctld, shells):
    for line in ("memctl show ", "memctl explain ", "memctl set ", "memctl pause ",
                 "memctl history ", "memctl agent status ", "memctl events --guest ",
                 "memctl plan --remove "):
        for shell, words in shells.offers(line):
            assert {"web1", "db1"} <= words, (shell, line, words)
    for shell, words in shells.offers("memctl show w"):
        assert "web1" in words and (shell == "fish" or "db1" not in words), (shell, words)


@with_shells
def offers_settings_and_their_values(memctld, shells):
    del memctld
    for shell, words in shells.offers("memctl set web1 "):
        for key in ("shares=", "min=", "max=", "last-resort=", "trust-domain=", "cooldown="):
            assert any(word.startswith(key) for word in words), (shell, key, words)
    for shell, words in shells.offers("memctl policy use "):
        assert {"idle-tax", "shares"} <= words, (shell, words)
    for shell, words in shells.offers("memctl help "):
        assert {"explain", "plan"} <= words, (shell, words)


TESTS = [
    offers_every_command,
    offers_every_option_of_a_command,
    offers_the_names_of_guests,
    offers_settings_and_their_values,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")
