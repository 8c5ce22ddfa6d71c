#!/usr/bin/env python3
"""
The page scanner over every kind of memory that QEMU gives a guest: huge pages, a file, two NUMA
nodes, virtio-mem. It finds what a hog has put there, and leaves it as it was.
test_dedupe_kinds.py BUILD_DIR. Prints TAP.
"""

import contextlib
import sys
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

NODES = ("<cpu mode='custom'><model>qemu64</model><numa>"
         "<cell id='0' cpus='0' memory='98304' unit='KiB'/>"
         "<cell id='1' cpus='1' memory='98304' unit='KiB'/></numa></cpu>")
FILE = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"

KINDS = {
    "hugetlb": {"memory": "128M", "memory_backing": "hugepages"},
    "file": {"memory": "128M", "top_xml": FILE},
    "nodes": {"memory": "192M", "vcpus": 2, "top_xml": NODES},
    "virtiomem": {"memory": "128M", "virtio_mem": "128M"},
}

# Of mappings that are this large: a guest's memory, and nothing else of QEMU's.
LARGE = 90 * MiB
TRACES = ("Rss", "Pss", "Anonymous", "AnonHugePages", "Shared_Hugetlb", "Private_Hugetlb", "Swap")


class World:
    def __init__(self, build):
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(build))
            self.guests = dict(zip(KINDS, self.lab.boot_many(list(KINDS.items()))))
            self.lab.virsh("update-memory-device", "virtiomem", "--requested-size", "128M", "--live")
            self.memctld = stack.enter_context(Memctld(build, self.lab.uri, config=(
                "[dedupe]\nmode = scan\ncpu = 50%\ninterval = 2s\n"
                "[guests]\ntrust-domain = lab\nmanaged = no\n")))
            wait_for("all guests to be read", lambda: len(self.scanned()) == len(KINDS), 180)
            self.parts = stack.pop_all()

    def close(self):
        self.parts.close()

    def scanned(self):
        report = self.memctld.json("dedupe")["report"] or {"guests": []}
        return {g["name"]: g for g in report["guests"] if g["state"] == "scanned"}

    def passes(self, count=3):
        def number():
            return self.memctld.json("dedupe")["report"]["pass"]

        goal = number() + count
        wait_for("passes", lambda: number() >= goal, 180)
        return self.scanned()


def note(text):
    print(f"# {text}", flush=True)


def traces_of(world):
    found = {}
    for name, guest in world.guests.items():
        sums, length = dict.fromkeys(TRACES, 0), 0
        for line in Path(f"/proc/{guest.pid}/smaps").read_text().splitlines():
            word = line.split()[0]
            if not word.endswith(":"):
                start, end = (int(x, 16) for x in word.split("-"))
                length = end - start
            elif length >= LARGE and word[:-1] in sums:
                sums[word[:-1]] += int(line.split()[1])
        found[name] = sums
    return found


def finds_what_a_hog_has_put_into_each(world):
    sizes = {name: (120 if name == "virtiomem" else 24) * MiB for name in KINDS}
    before = world.passes(1)
    for name, guest in world.guests.items():
        guest.hog.alloc(sizes[name], "random")
    after = world.passes(3)
    for name, size in sizes.items():
        grown = sum(after[name][key] - before[name][key] for key in ("unique", "volatile"))
        note(f"{name}: {size / MiB:.0f}M of new contents, {grown / MiB:.1f}M more found; "
             f"{after[name]['scanned'] / MiB:.1f}M read, {after[name]['huge'] / MiB:.1f}M of them huge")
        # Some of it takes the place of other contents that nobody else had.
        assert 0.85 * size <= grown <= 1.15 * size + 8 * MiB, (name, before[name], after[name])
        parts = sum(after[name][key] for key in ("zero", "inside", "across", "volatile", "unique"))
        assert parts == after[name]["scanned"], after[name]
    assert after["virtiomem"]["scanned"] > 128 * MiB  # more than it has booted with
    assert after["hugetlb"]["huge"] == after["hugetlb"]["scanned"]


def leaves_each_as_it_was(world):
    """Between two passes everything is as it was before: while it reads, it shares what is shared."""
    for guest in world.guests.values():
        guest.suspend()
    try:
        world.passes(1)
        before = traces_of(world)
        world.passes(3)
        with contextlib.suppress(AssertionError):
            wait_for("the same traces", lambda: traces_of(world) == before, 30)
        assert traces_of(world) == before, (before, traces_of(world))
        for name, fields in before.items():
            note(f"{name}, KiB, the same before and after three passes: {fields}")
    finally:
        for guest in world.guests.values():
            guest.resume()


def main():
    build = Path(sys.argv[1]).resolve()
    reason = why_not()
    if reason:
        tap.run([], skip=reason)
    world = World(build)
    try:
        tap.run([finds_what_a_hog_has_put_into_each, leaves_each_as_it_was], world)
    finally:
        world.close()


if __name__ == "__main__":
    main()
