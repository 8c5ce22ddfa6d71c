#!/usr/bin/env python3
"""memctl top in a terminal, on a simulated host: test_top.py BUILD_DIR. Prints TAP."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
import tmux  # noqa: E402
from memctld import BY_SHARES, STRICT, simulate, wait_for  # noqa: E402

MiB = 1 << 20
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "idle", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "busy", "memory": "1G", "working_set": "850M", "min": "128M"},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
    ],
}
COLOUR = re.compile(r"\x1b\[[0-9;]*3[1-7]m")


def simulated(build, **options):
    return simulate(build, SCENARIO, STRICT + BY_SHARES, budget=1800 * MiB, **options)


@contextlib.contextmanager
def top(memctld, *arguments, columns=80, rows=24, ready="busy", **env):
    command = [memctld.build / "cli" / "memctl", "--socket", memctld.socket, "top",
               "--interval", "200ms", *arguments]
    with tmux.Terminal(command, columns, rows, env) as terminal:
        if ready:
            terminal.wait(ready)
        yield terminal


def shows_host_and_guests_and_follows(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        screen = terminal.wait("no-balloon")
        for words in ("memctl top", "policy shares", "memory ", "budget ", "promised ", "headroom",
                      "3 guests (2 managed", "GUEST▲", "ACTUAL", "TARGET", "q quit"):
            assert words in screen, (words, screen)
        assert all(len(line) <= 80 for line in screen.splitlines()), screen
        # The guests' course is seen without a key.
        memctld.run("set", "idle", "max=300M")
        wait_for("the move", lambda: re.search(r"idle .* 300M", terminal.screen()))
        wait_for("the event", lambda: re.search(r"LATELY(.|\n)*idle: .*300M", terminal.screen()))
        terminal.keys("q")
        assert terminal.code() == 0


def explains_the_chosen_guest(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        terminal.keys("Down", "Down", "Enter")
        screen = terminal.wait("measured ")
        for words in ("idle  running  shares 1000", "It is configured with 1.00G", "wish", "happened"):
            assert words in screen, (words, screen)
        wait_for("the course", lambda: re.search("[▁-█]{3}", terminal.screen()))
        terminal.keys("Left")
        terminal.wait("left alone: it has no balloon device")
        terminal.keys("Escape")
        terminal.wait("GUEST▲")


def changes_shares_and_settings(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        terminal.keys("s")
        terminal.wait("shares of busy: 1000")
        terminal.keys("C-u", "4000", "Enter")
        terminal.wait("busy: shares=4000 holds from now on")
        assert memctld.guests()["busy"]["shares"] == 4000
        terminal.keys("e", "min=9G", "Enter")
        terminal.wait("min 9.00G is")  # memctld's own sentence
        terminal.keys("e", "min=200M max=800M", "Enter")
        terminal.wait("holds from now on")
        assert memctld.guests()["busy"]["max"] == 800 * MiB


def pauses_and_resumes(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        terminal.keys("p")
        terminal.wait("leave alone until resumed: busy? y/n")
        terminal.keys("n")
        terminal.wait("q quit")
        assert memctld.guests()["busy"]["exempt"] == "no"
        terminal.keys("p", "y")
        terminal.wait("busy is paused; p resumes it")
        terminal.wait("paused-by-operator")
        terminal.keys("p")
        terminal.wait("busy is resumed")
        assert memctld.guests()["busy"]["exempt"] == "no"


def a_refusal_is_told_in_full(build):
    with simulated(build, dry_run=True) as memctld, top(memctld) as terminal:
        terminal.wait("DRY RUN: no guest is touched")
        terminal.keys("s", "0", "Enter")
        screen = " ".join(terminal.wait("dry run and writes nothing").split())
        assert "start it without --dry-run to change settings" in screen, screen


def who_may_only_look_is_told_so(build):
    if os.getuid() != 0 or not shutil.which("setpriv"):
        print("# left out: needs root and setpriv")
        return
    with simulated(build) as memctld:
        # A build below a home directory may not be reached by others.
        program = memctld.folder / "memctl"
        shutil.copy(memctld.build / "cli" / "memctl", program)
        shutil.copy(memctld.build / "lib" / "libmemctl.so.0", memctld.folder)
        os.chmod(memctld.folder, 0o755)
        os.chmod(memctld.socket, 0o666)
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env",
                   f"LD_LIBRARY_PATH={memctld.folder}", program, "--socket", memctld.socket, "top"]
        with tmux.Terminal(command) as terminal:
            terminal.wait("busy")
            terminal.keys("s", "0", "Enter")
            terminal.wait("'set' changes something; be root or in the group memctl")
            assert memctld.guests()["busy"]["shares"] == 1000


def sorts_filters_and_helps(build):
    with simulated(build) as memctld, top(memctld, "--sort", "actual") as terminal:
        terminal.wait("by actual")
        terminal.keys("<")
        terminal.wait("by name")
        terminal.keys("r")
        terminal.wait("by name reversed")
        rows = [line for line in terminal.screen().splitlines() if re.match("..(idle|busy)", line)]
        assert rows[0][2:6] == "idle", rows
        terminal.keys("/", "bus")
        terminal.wait("only /bus: 1")
        row = re.compile("^..idle ", re.MULTILINE)
        wait_for("one row only", lambda: not row.search(terminal.screen()))
        terminal.keys("Escape")
        wait_for("the other row", lambda: row.search(terminal.screen()))
        terminal.keys("?")
        terminal.wait("used: what the guest cannot give up")
        terminal.keys("Escape")
        terminal.wait("GUEST")


def survives_small_screens_and_changes_of_size(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        for columns, rows in ((40, 12), (20, 5), (10, 3), (132, 50), (40, 12)):
            terminal.resize(columns, rows)
            wanted = "too small" if rows < 4 else "busy"
            screen = terminal.wait(wanted)
            assert all(len(line) <= columns for line in screen.splitlines()), screen
        screen = terminal.wait("MOVE")
        assert "high" in screen or "clear" in screen or "soft" in screen, screen
        terminal.keys("q")
        assert terminal.code() == 0


def needs_neither_colour_nor_utf8(build):
    with simulated(build) as memctld:
        with top(memctld, TERM="xterm-256color") as terminal:
            assert COLOUR.search(terminal.screen(attributes=True))
        for env in ({"NO_COLOR": "1", "TERM": "xterm-256color"}, {"TERM": "vt100"}):
            with top(memctld, **env) as terminal:
                assert not COLOUR.search(terminal.screen(attributes=True)), env
                terminal.keys("q")
                assert terminal.code() == 0
        with top(memctld, LC_ALL="C", TERM="vt100") as terminal:
            screen = terminal.wait("GUEST+")
            assert screen.isascii() and "#" in screen, screen


def goes_on_when_the_daemon_comes_back(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        memctld.stop()
        terminal.wait("AS IT WAS")
        assert "busy" in terminal.wait("no memctld at"), terminal.screen()
        terminal.keys("s", "0", "Enter")
        terminal.wait("start it with 'systemctl start memctld'")
        memctld.start()
        terminal.wait_without("AS IT WAS")
        terminal.keys("?", "q")
        assert terminal.code() == 0
    # And it may be there before the daemon.
    command = [Path(build).resolve() / "cli" / "memctl", "--socket", "/nowhere/socket", "top"]
    with tmux.Terminal(command) as terminal:
        terminal.wait("waiting for memctld")
        terminal.wait("no memctld at /nowhere/socket")
        terminal.keys("q")
        assert terminal.code() == 0


def keys_work_while_the_daemon_hangs(build):
    with simulated(build) as memctld, top(memctld) as terminal:
        memctld.process.send_signal(19)  # SIGSTOP
        try:
            terminal.keys("?")
            terminal.wait("Keys")
            terminal.keys("q")
            assert terminal.code() == 0
        finally:
            memctld.process.send_signal(18)


def prints_one_picture_without_a_terminal(build):
    with simulated(build) as memctld:
        for columns in (40, 80, 132):
            done = subprocess.run(
                [memctld.build / "cli" / "memctl", "--socket", memctld.socket, "top", "--once"],
                capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                env=dict(os.environ, COLUMNS=str(columns), LC_ALL="C"))
            assert done.returncode == 0, done
            lines = done.stdout.splitlines()
            assert all(len(line) <= columns for line in lines), done.stdout
            assert [line[2:].split()[0] for line in lines[-3:]] == ["busy", "fixed", "idle"], lines
        assert memctld.run("top").returncode == 2
        assert "needs a terminal; --once" in memctld.run("top").stderr
        assert "--sort takes" in memctld.run("top", "--sort", "size").stderr
        assert "too short" in memctld.run("top", "--interval", "1ms").stderr
        assert memctld.run("--json", "top").returncode == 2
        for term in ("no-such-terminal", "dumb"):
            with tmux.Terminal([memctld.build / "cli" / "memctl", "--socket", memctld.socket, "top"],
                               env={"TERM": term}) as terminal:
                terminal.wait(f"terminal type '{term}' is not known here")
                assert terminal.code() == 1


TESTS = [
    shows_host_and_guests_and_follows,
    explains_the_chosen_guest,
    changes_shares_and_settings,
    pauses_and_resumes,
    a_refusal_is_told_in_full,
    who_may_only_look_is_told_so,
    sorts_filters_and_helps,
    survives_small_screens_and_changes_of_size,
    needs_neither_colour_nor_utf8,
    goes_on_when_the_daemon_comes_back,
    keys_work_while_the_daemon_hangs,
    prints_one_picture_without_a_terminal,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build", skip=tmux.why_not())
