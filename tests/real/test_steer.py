#!/usr/bin/env python3
"""
memctld steers the kernel's page merging on real guests: what it promised is merged, nobody else is,
and everything is put back. test_steer.py BUILD_DIR. Prints TAP.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

KSM = Path("/sys/kernel/mm/ksm")
KNOBS = ("advisor_mode", "advisor_max_cpu", "advisor_min_pages_to_scan",
         "advisor_max_pages_to_scan", "advisor_target_scan_time", "pages_to_scan",
         "sleep_millisecs", "smart_scan", "use_zero_pages", "run")
PAGE = 4096
# The host has memory enough, and would not merge anything: so it is told to do with little.
CONFIG = """[budget]
budget = 256M
[governor]
host-reclaim = no
[dedupe]
mode = merge
cpu = 50%
cpu-when-short = 50%
interval = 1s
[guests]
trust-domain = lab
min = 100%
"""


def metadata(settings):
    return f"<m:guest xmlns:m='https://memctl.org/xmlns/guest/1.0' {settings}/>"


def note(text):
    print(f"# {text}", flush=True)


def read(name):
    return (KSM / name).read_text().strip()


def ksm_stat(guest):
    lines = Path(f"/proc/{guest.pid}/ksm_stat").read_text().splitlines()
    return {line.split()[0].rstrip(":"): line.split()[1] for line in lines}


def marks(guest):
    """Sizes of the mappings that KSM may look at, and what is merged in all mappings."""
    sizes, merged, size = [], 0, 0
    for line in Path(f"/proc/{guest.pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(x, 16) for x in words[0].split("-"))
            size = end - start
        elif words[0] == "KSM:":
            merged += int(words[1]) * 1024
        elif words[0] == "VmFlags:" and "mg" in words:
            sizes.append(size)
    return sizes, merged


class World:
    def __init__(self, build):
        self.build = build
        self.knobs = {name: (KSM / name).read_text() for name in KNOBS if (KSM / name).exists()}
        alone = "<memoryBacking><nosharepages/></memoryBacking>"
        with contextlib.ExitStack() as stack:
            stack.callback(self.reset_ksm)
            self.lab = stack.enter_context(Lab(build))
            self.guests = dict(zip("ab", self.lab.boot_many(["a", "b"], memory="192M")))
            self.guests["off"] = self.lab.boot("off", memory="128M", top_xml=alone,
                                               metadata_xml=metadata("dedupe='no'"))
            self.guests["other"] = self.lab.boot("other", memory="128M", top_xml=alone,
                                                 metadata_xml=metadata("trust-domain='other'"))
            for name in ("off", "other"):  # as somebody might have left them
                self.merge(name, True)
            for name in "ab":
                self.guests[name].hog.alloc(24 * MiB, "pool")
            self.before = self.state()
            self.memctld = stack.enter_context(Memctld(build, self.lab.uri, config=CONFIG))
            self.parts = stack.pop_all()

    def reset_ksm(self):
        (KSM / "run").write_text("2")
        for name, value in self.knobs.items():
            if name != "advisor_mode" and name != "pages_to_scan":
                (KSM / name).write_text(value)
        if "advisor_mode" in self.knobs:
            (KSM / "advisor_mode").write_text(self.knobs["advisor_mode"].split("[")[1].split("]")[0])
        if read("advisor_mode").startswith("[none]"):
            (KSM / "pages_to_scan").write_text(self.knobs["pages_to_scan"])

    def close(self):
        self.parts.close()

    def merge(self, name, value):
        self.lab.virsh("qemu-monitor-command", name, json.dumps(
            {"execute": "qom-set", "arguments": {"path": "/objects/pc.ram", "property": "merge",
                                                 "value": value}}))

    def asked(self, name):
        answer = json.loads(self.lab.virsh("qemu-monitor-command", name,
                                           json.dumps({"execute": "query-memdev"})))
        return {item["id"]: item["merge"] for item in answer["return"]}

    def state(self):
        """All that memctld may change, as it is now."""
        return {"knobs": {name: read(name) for name in self.knobs},
                "guests": {name: (self.asked(name), marks(guest)[0])
                           for name, guest in self.guests.items()}}

    def merging(self):
        return self.memctld.json("dedupe")["merging"]

    def by_name(self):
        return {guest["name"]: guest for guest in self.merging()["guests"]}


def parts_who_must_not_be_merged(world):
    """The guests that are off, or of another domain, are taken out before ksmd runs."""
    def ready():
        return world.merging() and world.merging()["pace"] in ("search", "found")

    while_waiting = []
    wait_for("ksmd to be started", lambda: while_waiting.append(
        (read("run"), marks(world.guests["off"])[0], marks(world.guests["other"])[0])) or ready(), 60)
    for run, off, other in while_waiting:
        assert run != "1" or not (off or other), (run, off, other)
    assert world.asked("off") == {"pc.ram": False} and not marks(world.guests["off"])[0]
    assert world.asked("other") == {"pc.ram": False} and not marks(world.guests["other"])[0]
    assert world.merging()["trust_domain"] == "lab", world.merging()
    guests = world.by_name()
    assert guests["off"]["reason"] == "off" and guests["other"]["reason"] in (
        "other-domain", "poor", "unknown"), guests


def merges_what_it_promised(world):
    wait_for("what was promised", lambda: world.merging()["pace"] == "found", 60)
    events = [json.loads(line) for line in
              world.memctld.run("--json", "events").stdout.splitlines()]
    for event in events:
        if event["kind"] in ("merge", "merge-failed", "ksm", "ksm-foreign-hand"):
            note(f"{event.get('guest', '')} {event['text']}")
    merging = world.merging()
    note(f"promised {merging['promised'] / MiB:.1f}M, saved {merging['saved'] / MiB:.1f}M")
    stats = {name: ksm_stat(world.guests[name]) for name in world.guests}
    for name in ("off", "other"):
        assert stats[name]["ksm_merging_pages"] == "0" and not marks(world.guests[name])[1], stats
    sharing, shared = int(read("pages_sharing")), int(read("pages_shared"))
    zeros = sum(int(stats[name]["ksm_zero_pages"]) for name in "ab")
    really = (sharing + zeros) * PAGE
    note(f"by the kernel {really / MiB:.1f}M: {sharing} pages sharing {shared}, {zeros} of zeros")
    assert really >= 0.9 * merging["promised"], (really, merging)
    assert merging["saved"] <= 1.05 * really, (really, merging)


def stops_beside_a_process_that_is_no_guest(world):
    stranger = subprocess.Popen([sys.executable, "-c", "import mmap, time; m = mmap.mmap(-1, 1 << 20,"
                                 " mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); "
                                 "m.madvise(mmap.MADV_MERGEABLE); time.sleep(600)"])
    try:
        wait_for("ksmd to stand", lambda: world.merging()["pace"] == "blocked", 60)
        wait_for("it to be seen", lambda: read("run") == "0", 10)
        assert "no guests" in world.merging()["why"], world.merging()
    finally:
        stranger.kill()
        stranger.wait()
    wait_for("ksmd to go on", lambda: read("run") == "1", 60)


def parts_a_guest_that_is_switched_off(world):
    """And lets nobody be merged beside what its QEMU has mergeable still."""
    assert marks(world.guests["a"])[1] > 8 * MiB
    world.memctld.json("set", "a", "dedupe=no")
    wait_for("it to be parted", lambda: world.asked("a") == {"pc.ram": False}, 60)
    sizes, merged = marks(world.guests["a"])
    note(f"of a {sum(sizes) / MiB:.1f}M are mergeable still, and {merged / 1024:.0f}K merged")
    assert 192 * MiB not in sizes and merged <= sum(sizes), (sizes, merged)
    assert read("run") == "0" and world.merging()["pace"] in ("blocked", "nothing")
    if world.merging()["pace"] == "blocked":
        assert "nosharepages" in world.merging()["why"], world.merging()
    world.memctld.json("set", "a", "dedupe=yes")
    wait_for("ksmd to go on", lambda: read("run") == "1", 120)


def shows_it_to_people(world):
    for line in world.memctld.run("dedupe").stdout.splitlines():
        note(line)
    metrics = world.memctld.metrics()
    assert 'memctl_merge_guest_saved_bytes{domain="a"' in metrics, metrics


def puts_everything_back_after_a_crash(world):
    assert world.state() != world.before
    world.memctld.stop(signal.SIGKILL)
    done = subprocess.run([world.build / "daemon" / "memctld", *world.memctld.arguments,
                           "--restore-ksm"], capture_output=True, text=True, timeout=60,
                          env=world.memctld.environment)
    note(done.stderr.strip())
    assert done.returncode == 0, done
    after = world.state()
    assert after == world.before, (after, world.before)
    assert not (world.memctld.folder / "ksm.json").exists()


def alone():
    """
    Begin again in a PID namespace: other people's QEMUs on this machine are mergeable as well, and
    memctld would not let ksmd run beside them.
    """
    if os.getpid() != 1:
        os.execvp("unshare", ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
                              sys.executable, *sys.argv])


def main():
    build = Path(sys.argv[1]).resolve()
    skip = why_not()
    if not skip:
        alone()
    if not skip and not (KSM / "run").exists():
        skip = "the kernel has no KSM"
    if not skip and read("run") == "1":
        skip = "KSM is in use here"
    if skip:
        tap.run([], skip=skip)
    world = World(build)
    try:
        tap.run([parts_who_must_not_be_merged, merges_what_it_promised, shows_it_to_people,
                 stops_beside_a_process_that_is_no_guest, parts_a_guest_that_is_switched_off,
                 puts_everything_back_after_a_crash], world)
    finally:
        world.close()


if __name__ == "__main__":
    main()
