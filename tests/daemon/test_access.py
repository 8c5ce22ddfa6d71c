#!/usr/bin/env python3
"""
Who may do what over the control socket, and what is said about it: test_access.py BUILD_DIR. Prints
TAP. Most of it needs root, to be other users.
"""

import contextlib
import functools
import grp
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import STRICT, simulate, wait_for  # noqa: E402

NOBODY, OTHERS = 65534, 64124
FLOOD_S = 15
FLOOD_COST_MOST = 10  # seconds: 2 at once, a quarter of the time, ticks, and what sending takes
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [{"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
               {"name": "b", "memory": "1G", "working_set": "60M"}],
}
CLIENT = """
import json, socket, sys
path, *requests = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
lines = s.makefile("r")
for request in requests:
    s.sendall(request.encode() + b"\\n")
    sys.stdout.write(lines.readline())
"""
FLOOD = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
answers = s.makefile("rb")
while True:
    s.sendall(b'{"memctl":1,"verb":"list"}\\n' * 20)
    for _ in range(20):
        answers.readline()
"""


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, **options)


@contextlib.contextmanager
def open_to_members(build, **options):
    """A memctld whose socket the group MEMBERS can reach, and in its folder nobody else can look."""
    with simulated(build, **options) as memctld:
        os.chmod(memctld.folder, 0o711)
        yield memctld


def request(verb, **args):
    return json.dumps({"memctl": 1, "verb": verb, **({"args": args} if args else {})})


def as_user(memctld, groups, *requests, program=CLIENT):
    """What nobody with these groups is answered; None if it cannot connect."""
    done = subprocess.run(
        [python(), "-c", program, str(memctld.socket), *requests],
        user=NOBODY, group=groups[0], extra_groups=groups[1:], capture_output=True, text=True,
        timeout=60, cwd="/")
    if "PermissionError" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def audits(memctld):
    return [line for line in memctld.log().splitlines() if "audit: " in line]


def needs_root():
    if os.geteuid():
        print("# not root: nothing was tried")
    return os.geteuid() == 0


@functools.cache
def python():
    """A Python that somebody else can start; None if there is none."""
    for program in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([program, "-c", "import json"], user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True, cwd="/",
                              check=False).returncode == 0:
                return program
    print("# another user cannot start a Python: nothing was tried")
    return None


def can_be_others():
    return needs_root() and python()


# ---- the audit line ----

def leaves_a_line_for_every_change(build):
    uid = os.geteuid()
    with simulated(build) as memctld:
        memctld.json("set", "a", "shares=3000", "max=900M")
        memctld.json("pause", "b")
        memctld.json("resume", "b")
        memctld.json("policy", "use", "shares")
        memctld.json("reload")
        assert memctld.run("set", "a", "min=5G").returncode == 1
        assert memctld.run("set", "nobody", "shares=5").returncode == 1
        memctld.json("list")
        memctld.json("status")
        lines = wait_for("the lines", lambda: len(audits(memctld)) == 7 and audits(memctld))[0]
    for line in lines:
        assert re.search(rf"audit: uid {uid} pid \d+: [a-z-]+ \{{.*\}}: (done|failed)", line), line
    for i, words in enumerate(("set", "pause", "resume", "policy-use", "reload", "set", "set")):
        assert f": {words} {{" in lines[i], (i, lines)
    assert '"shares":"3000"' in lines[0] and '"guest":"a"' in lines[0] and lines[0].endswith("done")
    assert ": failed, guest 'a': min 5.00G is above" in lines[5], lines[5]
    assert ": failed, no guest is named 'nobody'" in lines[6], lines[6]


def names_the_process_that_asked(build):
    with simulated(build) as memctld:
        with subprocess.Popen([memctld.build / "cli" / "memctl", "--socket", memctld.socket,
                               "pause"], stdout=subprocess.DEVNULL) as asking:
            assert asking.wait(30) == 0
        assert f"pid {asking.pid}: pause" in audits(memctld)[0], audits(memctld)


def has_one_line_for_hostile_arguments(build):
    with simulated(build) as memctld:
        memctld.request(request("set", guest="a\n<0>audit: uid 0 pid 1: reload {}: done\x1b[2J",
                                settings={"shares": "7\x07"}).encode() + b"\n")
        memctld.request(request("set", guest="x" * 5000, settings={"shares": "7"}).encode() + b"\n")
        lines = audits(memctld)
        assert len(lines) == 2, lines
        assert all(len(line) < 1100 and line.isprintable() for line in lines), lines


# ---- the journal ----

def read_fields(datagram):
    """The journal's own protocol: NAME=value lines, or NAME, a length and the value."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = struct.unpack("<Q", rest[:8])[0]
            value, rest = rest[8:8 + length], rest[9 + length:]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


def writes_fields_to_the_journal(build):
    """A journal of the test's own, in a mount namespace, since its address is fixed."""
    if not needs_root():
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scenario = folder / "scenario.json"
        scenario.write_text(json.dumps(SCENARIO))
        (folder / "conf").write_text(STRICT)
        (folder / "journal").mkdir()
        journal = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        journal.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        journal.bind(str(folder / "journal" / "socket"))
        journal.settimeout(0.2)
        stream = stack.enter_context(open(folder / "stderr", "wb"))
        status = os.fstat(stream.fileno())
        command = (f"mount --make-rprivate / && mkdir -p /run/systemd && "
                   f"mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && "
                   f"mount --bind {folder}/journal /run/systemd/journal && exec "
                   f"{Path(build).resolve()}/daemon/memctld --connect sim:{scenario} --budget 1G "
                   f"--interval 200ms --metrics off --socket {folder}/sock --config {folder}/conf")
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", command], stderr=stream,
            env=dict(os.environ, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}",
                     MEMCTL_POLICY_PATH=str(Path(build).resolve() / "policies")))
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.SIGTERM)
        entries = []

        def has(**wanted):
            with contextlib.suppress(TimeoutError):
                while True:
                    entries.append(read_fields(journal.recv(65536)))
            assert process.poll() is None, (folder / "stderr").read_text()
            return next((entry for entry in entries if wanted.items() <= entry.items()), None)

        target = wait_for("a target", lambda: has(MEMCTL_EVENT="target", MEMCTL_GUEST="a"))[0]
        assert target["PRIORITY"] == "6" and target["SYSLOG_IDENTIFIER"] == "memctld"
        assert target["MESSAGE"].startswith("guest 'a': ") and target["MEMCTL_REASON"]
        assert int(target["MEMCTL_TO"]) < int(target["MEMCTL_FROM"]) == 1 << 30
        assert re.fullmatch(r"[0-9a-f-]{36}", target["MEMCTL_UUID"])
        subprocess.run([Path(build) / "cli" / "memctl", "--socket", folder / "sock", "set", "a",
                        "shares=77"], check=True, stdout=subprocess.DEVNULL)
        audit = wait_for("the audit line", lambda: has(MEMCTL_VERB="set"))[0]
        assert audit["MEMCTL_UID"] == str(os.geteuid()) and int(audit["MEMCTL_PID"]) > 1
        assert audit["MEMCTL_OUTCOME"] == "done" and '"77"' in audit["MEMCTL_ARGUMENTS"]
        manual = (Path(__file__).resolve().parents[2] / "docs/man/memctld.8.scd").read_text()
        assert f"MESSAGE_ID={audit['MESSAGE_ID']}" in manual
        subprocess.run([Path(build) / "cli" / "memctl", "--socket", folder / "sock", "set", "x",
                        "shares=77"], check=False, stderr=subprocess.DEVNULL)
        failed = wait_for("the failure", lambda: has(MEMCTL_OUTCOME="failed"))[0]
        assert failed["PRIORITY"] == "4" and "no guest" in failed["MEMCTL_ERROR"]
        assert not (folder / "stderr").read_text()


# ---- who may ----

def lets_only_root_and_the_group_open_the_socket(build):
    if not can_be_others():
        return
    members = grp.getgrnam("games").gr_gid  # any group that is not ours
    config = STRICT + "[memctld]\nsocket-group = games\n"
    with open_to_members(build, config=config) as memctld:
        status = os.stat(memctld.socket)
        assert stat.S_IMODE(status.st_mode) == 0o660 and status.st_gid == members, status
        assert as_user(memctld, [OTHERS], request("version")) is None
        for groups in ([members], [OTHERS, members]):
            told, done = as_user(memctld, groups, request("version"),
                                 request("set", guest="a", settings={"shares": "555"}))
            assert told["ok"] and done["ok"], (groups, told, done)
        assert f"audit: uid {NOBODY} pid " in audits(memctld)[0]


def asks_again_at_every_verb_that_changes(build):
    """Even one who got at the socket because somebody opened it to all may only look."""
    if not can_be_others():
        return
    changing = [request("set", guest="a", settings={"shares": "5"}), request("pause"),
                request("resume"), request("reload"), request("policy-use", policy="shares"),
                request("admit", name="new", size=1 << 30),
                request("agent-enable", guest="a"), request("dedupe-sketch")]
    looking = [request("version"), request("status"), request("list"), request("events"),
               request("explain", guest="a"), request("policy-list"), request("show", guest="a"),
               request("dedupe")]
    with open_to_members(build) as memctld:
        os.chmod(memctld.socket, 0o666)
        before = memctld.json("show", "a")["settings"]
        for answer in as_user(memctld, [OTHERS], *changing):
            assert not answer["ok"] and answer["error"]["code"] == "denied", answer
            assert "be root or in the group" in answer["error"]["message"]
        for answer in as_user(memctld, [OTHERS], *looking):
            assert answer["ok"], answer
        assert memctld.json("show", "a")["settings"] == before
        lines = audits(memctld)
        assert len(lines) == len(changing) and all(": denied, " in line for line in lines), lines
        assert f'outcome="denied"}} {len(changing)}' in memctld.metrics()


def knows_which_verbs_change_something(_):
    """A new verb has to be sorted into one of the two lists above."""
    source = (Path(__file__).resolve().parents[2] / "daemon" / "verbs.c").read_text()
    verbs = dict(re.findall(r'\{"([a-z-]+)", (true|false), handle', source))
    assert {name for name, changes in verbs.items() if changes == "true"} == {
        "admit", "agent-enable", "dedupe-sketch", "pause", "policy-use", "reload", "resume", "set"}, verbs


# ---- too much ----

def keeps_room_for_root_beside_a_user_with_many_connections(build):
    if not can_be_others():
        return
    holder = ("import socket, sys, time\nheld = []\nfor _ in range(100):\n"
              "    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n"
              "    held.append(s)\nprint('held', flush=True)\ntime.sleep(60)\n")
    with open_to_members(build) as memctld:
        os.chmod(memctld.socket, 0o666)
        before = len(os.listdir(f"/proc/{memctld.process.pid}/fd"))
        with subprocess.Popen([python(), "-c", holder, str(memctld.socket)], user=NOBODY,
                              group=OTHERS, extra_groups=[], stdout=subprocess.PIPE,
                              cwd="/") as holding:
            try:
                assert holding.stdout.readline() == b"held\n"
                wait_for("the 33rd to be hung up", lambda: len(
                    os.listdir(f"/proc/{memctld.process.pid}/fd")) <= before + 32)
                assert memctld.run("status").returncode == 0
            finally:
                holding.kill()


def delays_who_asks_for_too_much_and_nobody_else(build):
    if not can_be_others():
        return
    many = [{"name": f"g{i}", "memory": "64M", "working_set": "30M"} for i in range(500)]
    scenario = {"host": {"memory": "512G", "used": "1G"}, "guests": many}
    with open_to_members(build, scenario=scenario, budget="400G", interval="500ms") as memctld:
        os.chmod(memctld.socket, 0o666)
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                flood = stack.enter_context(subprocess.Popen(
                    [python(), "-c", FLOOD, str(memctld.socket)], user=NOBODY, group=OTHERS,
                    extra_groups=[], stderr=subprocess.DEVNULL, cwd="/"))
                stack.callback(flood.kill)
            delays = re.compile(r"^memctl_control_delays_total (\d+)", re.M)
            cost, ends = memctld.processor_seconds(), time.monotonic() + FLOOD_S
            while not (delayed := int(delays.search(memctld.metrics())[1])) and \
                    time.monotonic() < ends:
                time.sleep(0.2)
            # Where others need the machine as well, the flood may not get that far.
            cost = memctld.processor_seconds() - cost
            assert delayed or cost < FLOOD_COST_MOST, cost
            ticks = memctld.json("status")["counters"]["ticks"]
            began = time.monotonic()
            for _ in range(10):
                assert memctld.run("version").returncode == 0
            print(f"# 10 answers beside the flood took {time.monotonic() - began:.2f} s")
            wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > ticks + 2, 60)
            print(f"# {delays.search(memctld.metrics())[1]} delays")


TESTS = [
    leaves_a_line_for_every_change,
    names_the_process_that_asked,
    has_one_line_for_hostile_arguments,
    writes_fields_to_the_journal,
    lets_only_root_and_the_group_open_the_socket,
    asks_again_at_every_verb_that_changes,
    knows_which_verbs_change_something,
    keeps_room_for_root_beside_a_user_with_many_connections,
    delays_who_asks_for_too_much_and_nobody_else,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])
