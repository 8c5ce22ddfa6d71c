#!/usr/bin/env python3
"""
memctl-scan as a service of its own, with systemd-socket-activate in systemd's place: memctld connects
to its socket, each looks who the other one is, and memctld ends it when it misbehaves.
test_scan_service.py BUILD_DIR. Prints TAP.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

SCENARIO = {"host": {"memory": "8G", "used": "1G"},
            "guests": [{"name": "a", "memory": "1G", "working_set": "60M"}]}
SCAN = "[dedupe]\nmode = scan\n"
NOBODY = 65534

# In memctl-scan's place: the name is the same, what it says is not.
IMPOSTOR = """#!{python}
import socket, sys, time
connection = socket.socket(fileno=3)
{body}
time.sleep(600)
"""


class Activator:
    """Listens, and starts a program for each connection with that as descriptor 3."""

    def __init__(self, folder, program, uid=None):
        self.path = folder / "scan.sock"
        command = ["systemd-socket-activate", "--seqpacket", "--accept", "-l", self.path, program]
        if uid:
            command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for("the socket", self.path.exists)

    def end(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def served(build, program=None, uid=None, config=SCAN, listens=True):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if uid:
            os.chown(folder, uid, uid)
        if program:
            (folder / "memctl-scan").write_text(IMPOSTOR.format(python=sys.executable, body=program))
            (folder / "memctl-scan").chmod(0o755)
        scenario = folder / "host.json"
        scenario.write_text(json.dumps(SCENARIO))
        if listens:
            activator = Activator(folder, folder / "memctl-scan" if program else
                                  build / "daemon" / "scanner" / "memctl-scan", uid)
            stack.callback(activator.end)
        os.environ["MEMCTL_SCAN_SOCKET"] = str(folder / "scan.sock")
        try:
            memctld = Memctld(build, f"sim:{scenario}", config=config, interval="200ms")
        finally:
            del os.environ["MEMCTL_SCAN_SOCKET"]
        yield stack.enter_context(memctld)


def scanner(memctld):
    return memctld.json("dedupe")["scanner"]


def met(memctld):
    """It has said a word, so that memctld knows its process."""
    return wait_for("memctl-scan to be met", lambda: scanner(memctld)["pid"] and scanner(memctld))[0]


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def is_no_child_and_works(build):
    with served(build) as memctld:
        state = met(memctld)
        assert state["service"] and state["running"], state
        pid = state["pid"]
        assert parent_of(pid) != memctld.process.pid
        assert Path(f"/proc/{pid}/comm").read_text() == "memctl-scan\n"
        wait_for("its word", lambda: scanner(memctld)["cpu_ms"] > 0)  # it is alive
        assert 'memctl_dedupe_scanner_up 1' in memctld.metrics()
        assert memctld.stop() == 0
        wait_for("it to end with memctld", lambda: is_gone(pid))


def ends_when_memctld_is_killed(build):
    with served(build) as memctld:
        pid = met(memctld)["pid"]
        memctld.stop(signal.SIGKILL)
        wait_for("it to end", lambda: is_gone(pid))


def another_one_comes_when_it_is_killed(build):
    with served(build) as memctld:
        pid = met(memctld)["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("another one", lambda: scanner(memctld)["pid"] not in (0, pid), 60)
        state = scanner(memctld)
        assert state["service"] and state["starts"] == 2 and not state["kills"], state


def one_that_hangs_is_killed_when_it_is_not_wanted(build):
    with served(build) as memctld:
        pid = met(memctld)["pid"]
        os.kill(pid, signal.SIGSTOP)  # it does not see that the socket is closed
        memctld.config.write_text("[dedupe]\nmode = off\n")
        memctld.json("reload")
        wait_for("it to be killed", lambda: is_gone(pid))


def nonsense_is_its_end(build):
    with served(build, """
open(f"{__file__}.pid", "a").write(f"{__import__('os').getpid()} ")
connection.send(b'{"type": "alive", "met": -1}')
""") as memctld:
        state = wait_for("it to be killed", lambda: scanner(memctld)["kills"] and scanner(memctld))[0]
        assert "makes no sense" in state["last_end"], state
        folder = Path(memctld.environment["MEMCTL_SCAN_SOCKET"]).parent
        pid = int((folder / "memctl-scan.pid").read_text().split()[0])
        wait_for("it to be gone", lambda: is_gone(pid))


def a_word_of_another_process_is_its_end(build):
    """The connection was passed on: the kernel says who sends."""
    with served(build, """
import os
connection.send(b'{"type": "alive", "met": 0, "all": 0, "cpu_us": 1}')
time.sleep(0.3)
if os.fork() == 0:
    connection.send(b'{"type": "alive", "met": 1, "all": 0, "cpu_us": 1}')
    os._exit(0)
""") as memctld:
        state = wait_for("it to be killed", lambda: scanner(memctld)["kills"] and scanner(memctld))[0]
        assert "somebody else" in state["last_end"], state


def whoever_has_another_name_is_not_killed(build):
    """What is not memctl-scan is not talked to, and its number is not taken for one to be killed."""
    with served(build, """
import os
os.execv(sys.executable, [sys.executable, "-c", '''
import socket
connection = socket.socket(fileno=3)
connection.send(b'{"type": "alive", "met": 0, "all": 0, "cpu_us": 1}')
while connection.recv(100000):
    pass
'''])
""") as memctld:
        state = wait_for("the end", lambda: scanner(memctld)["kills"] and scanner(memctld))[0]
        assert "somebody else" in state["last_end"] and not state["pid"], state


def a_listener_that_is_not_root_is_not_trusted(build):
    with served(build, uid=NOBODY) as memctld:
        state = wait_for("a word", lambda: scanner(memctld)["last_end"] and scanner(memctld))[0]
        assert f"listens uid {NOBODY}" in state["last_end"], state
        assert not state["running"] and not state["starts"], state
        assert memctld.log().count("is neither root") == 1, memctld.log()


def a_user_who_connects_is_refused(build):
    """memctl-scan reads any guest for whoever is at the other end."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        activator = Activator(Path(folder), build / "daemon" / "scanner" / "memctl-scan")
        try:
            os.chmod(activator.path, 0o777)  # its own mode is 0600
            code = ("import os, socket, sys; os.setuid(%d); s = socket.socket(socket.AF_UNIX, "
                    "socket.SOCK_SEQPACKET); s.settimeout(20); s.connect(%r); "
                    "sys.exit(0 if s.recv(100) == b'' else 1)" % (NOBODY, str(activator.path)))
            done = subprocess.run([sys.executable, "-c", code], timeout=60)
            assert done.returncode == 0, done
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as root:
                root.settimeout(20)
                root.connect(str(activator.path))
                assert b'"alive"' in root.recv(1000)
        finally:
            activator.end()


def without_a_service_it_is_a_child_and_that_is_said_once(build):
    with served(build, listens=False) as memctld:
        state = met(memctld)
        assert not state["service"] and parent_of(state["pid"]) == memctld.process.pid, state
        os.kill(state["pid"], signal.SIGKILL)
        wait_for("another one", lambda: scanner(memctld)["starts"] == 2 and met(memctld), 60)
        assert memctld.log().count("started by memctld itself") == 1, memctld.log()


def main():
    skip = None
    if os.geteuid() != 0:
        skip = "another user's process is needed, which takes root"
    elif not shutil.which("systemd-socket-activate"):
        skip = "systemd-socket-activate is missing"
    tap.run([is_no_child_and_works, ends_when_memctld_is_killed,
             another_one_comes_when_it_is_killed, one_that_hangs_is_killed_when_it_is_not_wanted,
             nonsense_is_its_end, a_word_of_another_process_is_its_end,
             whoever_has_another_name_is_not_killed, a_listener_that_is_not_root_is_not_trusted,
             a_user_who_connects_is_refused,
             without_a_service_it_is_a_child_and_that_is_said_once],
            Path(sys.argv[1]).resolve(), skip=skip)


if __name__ == "__main__":
    main()
