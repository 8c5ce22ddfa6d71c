#!/usr/bin/env python3
"""memctl doctor as a program, on made-up hosts: test_doctor.py BUILD_DIR. Prints TAP."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import simulate, wait_for  # noqa: E402

MiB = 1 << 20
GOOD = {
    "dev/kvm": "",
    "proc/meminfo": "MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n"
                    "SwapTotal: 8388608 kB\nSwapFree: 8388608 kB\n",
    "proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 8388608 0 -2\n",
    "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "sys/kernel/mm/ksm/run": "1\n",
    "sys/fs/cgroup/cgroup.controllers": "memory\n",
    "sys/fs/cgroup/machine.slice/memory.reclaim": "",
    "etc/group": "memctl:x:990:\n",
}


class Copy(tempfile.TemporaryDirectory):
    """A copy of a host's files."""

    def __enter__(self):
        root = Path(super().__enter__())
        for name, text in GOOD.items():
            self.put(name, text)
        return root

    def put(self, name, text):
        path = Path(self.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def doctor(build, *arguments, code=0, socket=None):
    command = [Path(build).resolve() / "cli" / "memctl", *(["--socket", socket] if socket else []),
               "doctor", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "MEMCTL_SOCKET"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == code and not done.stderr, done
    return done.stdout


def by_check(text):
    return {f["check"]: f for f in json.loads(text)["findings"]}


def assert_is_shell(command):
    """bash takes it, comment or not."""
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)


def a_good_host_is_told_in_one_paragraph(build):
    with Copy() as root:
        text = doctor(build, "--root", root)
        assert text.splitlines()[-1] == "Nothing to say: all is well.", text
        assert text.startswith("ok       group, kvm, pressure, memory, swap"), text
        told = doctor(build, "--root", root, "--all")
        assert "/dev/kvm is there" in told, told
        counts = json.loads(doctor(build, "--root", root, "--json"))
        assert counts["problems"] == counts["warnings"] == counts["notes"] == 0, counts
        assert counts["ok"] == len(counts["findings"]), counts


def every_finding_has_its_way_out(build):
    with tempfile.TemporaryDirectory() as empty:
        found = by_check(doctor(build, "--root", empty, "--json"))
        for check, words in {"kvm": "firmware", "pressure": "psi=1", "group": "systemd-sysusers",
                             "cgroup": "unified_cgroup_hierarchy"}.items():
            assert found[check]["level"] in ("note", "warning"), found[check]
            assert words in found[check]["fix"] and found[check]["why"], found[check]
            assert found[check]["guest"] is None, found[check]
            assert_is_shell(found[check]["fix"])
        text = doctor(build, "--root", empty)
        assert text.splitlines()[-1].endswith("notes"), text
        assert text.index("warning  kvm") < text.index("note     group"), text


def a_problem_is_the_exit_code(build):
    with Copy() as root:
        (root / "proc/77").mkdir()
        (root / "proc/77/comm").write_text("momd\n")
        text = doctor(build, "--root", root, code=1)
        assert text.startswith("problem  mom\n"), text
        assert "systemctl disable --now momd" in text and "1 problem\n" in text, text


def nobody_answering_is_a_problem(build):
    with Copy() as root:
        text = doctor(build, "--root", root, socket="/nowhere/socket", code=1)
        assert "memctld does not answer at /nowhere/socket." in text, text
        text = doctor(build, "--root", root, "--connect", "qemu+unix:///system?socket=/nowhere/s",
                      code=1)
        assert "libvirt does not answer at qemu+unix:///system?socket=/nowhere/s:" in text, text


def simulated(build, guests, **options):
    return simulate(build, {"host": {"memory": "8G", "used": "1G"}, "guests": guests},
                    budget=4000 * MiB, **options)


def guests_alike_are_told_together(build):
    names = [f"guest{n}" for n in range(9)] + ["it's one"]
    guests = [{"name": n, "memory": "256M", "working_set": "60M"} for n in names]
    with Copy() as root, simulated(build, guests) as memctld:
        for name in names[1:]:
            memctld.run("pause", name)
        wait_for("pauses", lambda: memctld.guests()["it's one"]["exempt"] != "no")
        text = doctor(build, "--root", root, socket=memctld.socket)
        assert text.count("An operator has paused it.") == 1, text
        assert "exempt: guest1, guest2," in text and "and 1 more" in text, text
        start, end = text.index("           for GUEST in"), text.index("done\n") + 5
        loop = text[start:end]
        assert "'it'\\''s one'" in loop and "guest0" not in loop, loop
        # The loop is run as it is printed.
        loop = loop.replace("memctl resume", f"{memctld.build}/cli/memctl --socket {memctld.socket} resume")
        assert subprocess.run(["bash", "-c", loop], capture_output=True).returncode == 0
        wait_for("the end of the pauses", lambda: memctld.guests()["it's one"]["exempt"] == "no")
        assert "paused" not in doctor(build, "--root", root, socket=memctld.socket)
        told = json.loads(doctor(build, "--root", root, "--json", socket=memctld.socket))
        assert {f["guest"] for f in told["findings"] if f["check"] == "qemu"} == set(names)
        for finding in told["findings"]:
            assert "$GUEST" not in (finding["fix"] or ""), finding


def tells_the_daemons_state(build):
    guests = [{"name": "a", "memory": "256M", "working_set": "60M"}]
    with Copy() as root, simulated(build, guests, dry_run=True) as memctld:
        wait_for("a plan", lambda: memctld.json("status")["plan"])
        found = by_check(doctor(build, "--root", root, "--json", socket=memctld.socket))
        assert found["memctld"]["level"] == found["connection"]["level"] == "ok", found
        assert found["host-state"]["level"] == "ok" and found["mode"]["level"] == "note", found
        assert "libvirt" not in found, found  # a simulated host has none
        os.chmod(memctld.socket, 0o666)
        found = by_check(doctor(build, "--root", root, "--json", socket=memctld.socket))
        assert found["socket"]["level"] == "warning", found
        assert found["socket"]["fix"] == f"chmod 660 {memctld.socket}", found


def wrong_use_is_refused(build):
    memctl = Path(build).resolve() / "cli" / "memctl"
    for arguments in (("guest",), ("--nonsense",), ("--root",)):
        done = subprocess.run([memctl, "doctor", *arguments], capture_output=True, text=True)
        assert done.returncode == 2, done


TESTS = [
    a_good_host_is_told_in_one_paragraph,
    every_finding_has_its_way_out,
    a_problem_is_the_exit_code,
    nobody_answering_is_a_problem,
    guests_alike_are_told_together,
    tells_the_daemons_state,
    wrong_use_is_refused,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")
