#!/usr/bin/env python3
"""
The page scanner on real guests: what it tells against what is known, that it leaves them alone, and
that off is off. test_dedupe.py BUILD_DIR. Prints TAP.
"""

import collections
import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

KSM = Path("/sys/kernel/mm/ksm")
PAGE = 4096
SIZE = 256 * MiB
KEY = b"a key that hosts have in common"


class World:
    """Three guests of one image, one of them in shared memory; one more that is not to be read."""

    def __init__(self, build):
        self.build = Path(build).resolve()
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (self.folder / "key").write_bytes(KEY)
            self.lab = stack.enter_context(Lab(build))
            self.guests = dict(zip("ab", self.lab.boot_many(["a", "b"], memory="256M")))
            self.guests["memfd"] = self.lab.boot("memfd", memory="256M", memory_backing="memfd")
            self.guests["off"] = self.lab.boot(
                "off", memory="128M", metadata_xml="<m:guest xmlns:m='https://memctl.org/xmlns/"
                "guest/1.0' dedupe='no'/>")
            self.trace = self.folder / "trace"
            with traced(self.build, self.folder, self.trace):
                self.memctld = stack.enter_context(Memctld(build, self.lab.uri, config=(
                    "[dedupe]\nmode = scan\ncpu = 50%\ninterval = 1s\n"
                    f"sketch-key = {self.folder}/key\n"
                    "[guests]\ntrust-domain = lab\nmanaged = no\n")))
            wait_for("all guests to be read", lambda: len(self.scanned()) == 3, 180)
            self.parts = stack.pop_all()

    def close(self):
        self.parts.close()

    def report(self):
        return self.memctld.json("dedupe")["report"]

    def scanned(self):
        report = self.report() or {"guests": []}
        return {g["name"]: g for g in report["guests"] if g["state"] == "scanned"}

    def passes(self, count=3):
        """The report after so many more passes."""
        goal = self.report()["pass"] + count
        wait_for("passes", lambda: self.report()["pass"] >= goal, 180)
        return self.report()


@contextlib.contextmanager
def traced(build, folder, trace):
    """A memctl-scan that is started now has each of its calls that reads written down, by strace."""
    scan = build / "daemon" / "scanner" / "memctl-scan"
    if shutil.which("strace"):
        program = folder / "memctl-scan"
        # -D: the scanner stays memctld's own child, and strace looks on from beside.
        program.write_text("#!/bin/sh\nexec strace -D -f -y -A -e "
                           "trace=process_vm_readv,pread64,mmap,ioctl "
                           f"-o {shlex.quote(str(trace))} {shlex.quote(str(scan))}\n")
        program.chmod(0o755)
        scan = program
    os.environ["MEMCTL_SCAN"] = str(scan)
    try:
        yield
    finally:
        del os.environ["MEMCTL_SCAN"]


def calls_for(pid, text):
    """How many of the scanner's calls read of this process: by its number, or one of its files."""
    return len(re.findall(rf"process_vm_readv\({pid},|</proc/{pid}/", text))


def note(text):
    print(f"# {text}", flush=True)


def by_name(report):
    return {guest["name"]: guest for guest in report["guests"]}


def pair(report, one, two):
    uuids = {guest["name"]: guest["uuid"] for guest in report["guests"]}
    for item in report["pairs"]:
        if {item["a"], item["b"]} == {uuids[one], uuids[two]}:
            return item["shared"]
    return 0


def near(value, truth, part=0.02, slack=MiB):
    return abs(value - truth) <= max(part * truth, slack)


def reads_what_is_resident(world):
    """The figures divide what was read, and what was read is what is resident of the guest."""
    for name, guest in by_name(world.passes()).items():
        if guest["state"] != "scanned":
            continue
        parts = sum(guest[key] for key in ("zero", "inside", "across", "volatile", "unique"))
        assert parts == guest["scanned"], guest
        resident = smaps_sum(world.guests[name].pid, SIZE, "Rss")
        note(f"{name}: {guest['scanned'] / MiB:.1f}M read, {resident / MiB:.1f}M resident, "
             f"{guest['across'] / MiB:.1f}M across")
        assert near(guest["present"], resident), (guest, resident)


def finds_what_guests_of_one_image_share(world):
    report = world.passes()
    guests = by_name(report)
    shared = pair(report, "a", "b")
    note(f"a and b share {shared / MiB:.1f}M, a and memfd {pair(report, 'a', 'memfd') / MiB:.1f}M")
    assert shared > 16 * MiB, report["pairs"]
    assert pair(report, "a", "memfd") > 16 * MiB, report["pairs"]
    assert guests["a"]["mergeable"] and not guests["memfd"]["mergeable"]
    saving = sum(guest["saving"] for guest in guests.values() if guest["state"] == "scanned")
    domains = {domain["name"]: domain for domain in report["domains"]}
    assert near(saving, domains["lab"]["saving"], slack=64 * 1024), (saving, domains)


def truth_of(world, names):
    """
    What is in the guests' memory, looked at by other means: each page that is present, read through
    /proc/PID/mem and hashed with BLAKE2.
    """
    contents = {}
    for name in names:
        pid = world.guests[name].pid
        start = next(start for start, end in mappings(pid) if end - start == SIZE)
        with open(f"/proc/{pid}/pagemap", "rb") as pagemap, open(f"/proc/{pid}/mem", "rb") as memory:
            pagemap.seek(start // PAGE * 8)
            entries = struct.unpack(f"={SIZE // PAGE}Q", pagemap.read(SIZE // PAGE * 8))
            pages = []
            for number, entry in enumerate(entries):
                if entry >> 63:
                    memory.seek(start + number * PAGE)
                    pages.append(hashlib.blake2b(memory.read(PAGE), digest_size=16).digest())
        contents[name] = collections.Counter(pages)
    return contents


def mappings(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        yield tuple(int(x, 16) for x in line.split()[0].split("-"))


@contextlib.contextmanager
def standing_still(world):
    for guest in world.guests.values():
        guest.suspend()
    try:
        yield
    finally:
        for guest in world.guests.values():
            guest.resume()


def finds_what_is_there(world):
    """Known contents from the hogs beside what a guest has by itself, to the page."""
    for name in "ab":
        world.guests[name].hog.alloc(32 * MiB, "pool")
    world.guests["a"].hog.alloc(24 * MiB, "random")
    with standing_still(world):
        report = world.passes(3)
        truth = truth_of(world, ["a", "b", "memfd"])
    guests = by_name(report)
    zero = hashlib.blake2b(bytes(PAGE), digest_size=16).digest()
    for name, contents in truth.items():
        others = set().union(*(truth[other] for other in truth if other != name)) - {zero}
        own = {content: count for content, count in contents.items() if content != zero}
        known = {"zero": contents[zero], "inside": sum(own.values()) - len(own),
                 "across": len(own.keys() & others), "unique": len(own.keys() - others)}
        found = {key: guests[name][key] // PAGE for key in known}
        note(f"{name}, pages: {found}, truth {known}")
        assert all(abs(found[key] - known[key]) <= 8 for key in known), (name, found, known)
    shared = len((truth["a"].keys() & truth["b"].keys()) - {zero})
    assert abs(pair(report, "a", "b") // PAGE - shared) <= 8, (report["pairs"], shared)


def read_ksm(name):
    return int((KSM / name).read_text())


@contextlib.contextmanager
def ksm_running():
    """At full speed; put back as it was, with everything parted again if it did not run."""
    names = ("pages_to_scan", "sleep_millisecs", "smart_scan", "use_zero_pages", "run")
    old = {name: (KSM / name).read_text() for name in names if (KSM / name).exists()}
    try:
        for name, value in {"pages_to_scan": 20000, "sleep_millisecs": 10, "smart_scan": 0,
                            "use_zero_pages": 0, "run": 1}.items():
            if name in old:
                (KSM / name).write_text(str(value))
        yield
    finally:
        if int(old["run"]) != 1:
            (KSM / "run").write_text("2")
        for name, value in old.items():
            (KSM / name).write_text(value)


def traces_of(world):
    return {name: {key: smaps_sum(world.guests[name].pid, SIZE, key)
                   for key in ("Pss", "KSM", "AnonHugePages")} for name in "ab"}


def foretells_what_ksm_merges(world):
    """And afterwards reads on without parting what was merged."""
    if not (KSM / "run").exists() or read_ksm("run") == 1:
        note("KSM is in use here, or not there: not tested")
        return
    world.memctld.json("set", "memfd", "trust-domain=other")
    with standing_still(world):
        report = world.passes(3)
        domain = next(d for d in report["domains"] if d["name"] == "lab")
        zeros = domain["zero"] // PAGE
        promised = domain["saving"] // PAGE + zeros - -(-zeros // read_ksm("max_page_sharing"))
        was = (KSM / "run").read_text()
        (KSM / "run").write_text("2")  # what is counted of processes that are gone goes
        (KSM / "run").write_text(was)
        before = read_ksm("pages_sharing")
        resident = sum(smaps_sum(world.guests[name].pid, SIZE, "Rss") for name in "ab")
        for name in world.guests:  # all are mergeable as QEMU starts them
            world.lab.virsh("qemu-monitor-command", name, json.dumps(
                {"execute": "qom-set", "arguments": {"path": "/objects/pc.ram", "property": "merge",
                                                     "value": name in "ab"}}))
        with ksm_running():
            goal = read_ksm("full_scans") + 4
            wait_for("KSM", lambda: read_ksm("full_scans") >= goal, 120)
            # Pages that it could not get hold of are for one of its next passes.
            for _ in range(60):
                gone = resident - sum(smaps_sum(world.guests[name].pid, SIZE, "Rss")
                                      for name in "ab")
                if near(read_ksm("pages_sharing") - before + gone // PAGE, promised, slack=64):
                    break
                time.sleep(1)
            (KSM / "run").write_text("0")
            # When it splits a huge page, a new kernel puts its page of zeros for those in it.
            merged = read_ksm("pages_sharing") - before
            zeroed = (resident - sum(smaps_sum(world.guests[name].pid, SIZE, "Rss")
                                     for name in "ab")) // PAGE
            note(f"promised {promised} pages, KSM saves {merged} and {zeroed} of zeros")
            assert near(merged + zeroed, promised, slack=64), (merged, zeroed, promised)
            before_scan = traces_of(world)
            guests = by_name(world.passes(3))
            note(f"merged, by the scanner: {guests['a']['merged'] / MiB:.1f}M and "
                 f"{guests['b']['merged'] / MiB:.1f}M")
            assert guests["a"]["merged"] > promised // 4 * PAGE, guests["a"]
            after_scan = traces_of(world)
            # The kernel may put a huge page together meanwhile: then it brings in what was missing
            # there, and parts what was merged there.
            huge = sum(max(0, after_scan[name]["AnonHugePages"] - old["AnonHugePages"])
                       for name, old in before_scan.items())
            for name, old in before_scan.items():
                new = after_scan[name]
                assert 0 <= new["Pss"] - old["Pss"] <= huge, (name, old, new)
                assert 0 <= old["KSM"] - new["KSM"] <= huge, (name, old, new)
                assert huge or old == new, (name, old, new)
    world.memctld.json("set", "memfd", "trust-domain=")


def leaves_the_guests_alone(world):
    """Nothing that is not there comes in; huge pages stay whole."""
    def traces():
        return {name: {key: smaps_sum(world.guests[name].pid, SIZE, key)
                       for key in ("Rss", "AnonHugePages", "Pss")} for name in ("a", "b")}

    with standing_still(world):
        world.passes(2)
        before = traces()
        world.passes(3)
        assert traces() == before, (before, traces())
        note(f"of a guest that stands still: {before['a']}")


def smaps_sum(pid, size, key):
    total, length = 0, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        word = line.split()[0]
        if not word.endswith(":"):
            start, end = (int(x, 16) for x in word.split("-"))
            length = end - start
        elif word == key + ":" and length == size:
            total += int(line.split()[1]) * 1024
    return total


def opened_memory(process, pid):
    """Of the files that a process has open, those by which another one's memory can be read."""
    found = []
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return [path for path in found if path in (f"/proc/{pid}/pagemap", f"/proc/{pid}/mem")]


def nobody_has_read(world, guest, others, begin=0):
    """Not one byte since the trace was so long, while the others were read."""
    if not world.trace.exists():
        note("strace is missing: the scanner's calls were not looked at")
        return
    text = world.trace.read_text(errors="replace")[begin:]
    counts = {name: calls_for(world.guests[name].pid, text) for name in (guest, *others)}
    note(f"calls of the scanner that read of each guest: {counts}")
    assert counts[guest] == 0 and all(counts[name] > 10 for name in others), counts
    for process in (world.memctld.process.pid, world.memctld.json("dedupe")["scanner"]["pid"]):
        assert not opened_memory(process, world.guests[guest].pid), process
    scanner = world.memctld.json("dedupe")["scanner"]["pid"]
    assert all(opened_memory(scanner, world.guests[name].pid) for name in others)


def off_is_off(world):
    guest = by_name(world.report())["off"]
    assert guest["state"] == "off" and "scanned" not in guest, guest
    nobody_has_read(world, "off", "ab")
    log = Path(world.lab.dir, "log", "libvirtd.log")
    if log.exists():
        tainted = [line for line in log.read_text(errors="replace").splitlines()
                   if "tainted" in line and "custom-monitor" in line]
        assert not any("name=off" in line or "'off'" in line for line in tainted), tainted
    world.memctld.json("set", "b", "dedupe=no")
    wait_for("b to be left alone",
             lambda: by_name(world.report())["b"]["state"] == "off", 180)
    begin = world.trace.stat().st_size if world.trace.exists() else 0
    report = world.passes(2)
    nobody_has_read(world, "b", "a", begin)
    assert pair(report, "a", "b") == 0
    world.memctld.json("set", "b", "dedupe=yes")
    wait_for("b to be read again", lambda: "b" in world.scanned(), 180)


def trust_domains_part_the_saving(world):
    world.memctld.json("set", "memfd", "trust-domain=other")
    wait_for("another domain", lambda: any(
        domain["name"] == "other" for domain in world.report()["domains"]), 180)
    report = world.passes(1)
    assert pair(report, "a", "memfd") > 0
    domains = {domain["name"]: domain for domain in report["domains"]}
    guest = by_name(report)["memfd"]
    assert domains["other"]["saving"] == guest["saving"] == guest["inside"], (domains, guest)


def shows_it_to_people(world):
    table = world.memctld.run("dedupe")
    assert table.returncode == 0 and "trust domain lab" in table.stdout, table
    matrix = world.memctld.run("dedupe", "--matrix")
    assert matrix.returncode == 0 and "%" in matrix.stdout, matrix
    for line in table.stdout.splitlines() + matrix.stdout.splitlines():
        note(line)
    picture = world.folder / "matrix.svg"
    assert world.memctld.run("dedupe", "--plot", str(picture)).returncode == 0
    xml.etree.ElementTree.parse(picture)
    metrics = world.memctld.metrics()
    assert "memctl_dedupe_guest_scanned_bytes{domain=\"a\"" in metrics
    assert "memctl_dedupe_scanner_up 1" in metrics


def estimates_overlap_from_sketches(world):
    for name in ("a", "b"):
        done = world.memctld.run("dedupe", "--sketch", str(world.folder / name), name)
        assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [world.build / "cli" / "memctl", "--json", "dedupe", "--overlap", str(world.folder / "a"),
         str(world.folder / "b")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    overlap = json.loads(done.stdout)[0]
    truth = pair(world.report(), "a", "b")
    note(f"by sketches {overlap['shared'] / MiB:.1f}M +- {overlap['error'] / MiB:.1f}M, "
         f"found {truth / MiB:.1f}M")
    assert abs(overlap["shared"] - truth) <= 2 * overlap["error"] + MiB, (overlap, truth)


def starts_again_when_it_is_killed(world):
    pid = subprocess.run(["pgrep", "-P", str(world.memctld.process.pid), "memctl-scan"],
                         capture_output=True, text=True, check=True).stdout.split()[0]
    subprocess.run(["kill", "-9", pid], check=True)
    wait_for("another one", lambda: world.memctld.json("dedupe")["scanner"]["starts"] >= 2, 180)
    wait_for("its first report", lambda: len(world.scanned()) == 3 and world.report()["pass"] < 10,
             180)


TESTS = [
    reads_what_is_resident,
    finds_what_guests_of_one_image_share,
    finds_what_is_there,
    leaves_the_guests_alone,
    off_is_off,
    trust_domains_part_the_saving,
    shows_it_to_people,
    estimates_overlap_from_sketches,
    foretells_what_ksm_merges,
    starts_again_when_it_is_killed,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())
