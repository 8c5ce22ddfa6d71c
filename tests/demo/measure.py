"""What moved between two moments, and how fast, as the guests themselves see it.

A guest's kernel counts what the balloon took out of its MemTotal. That is exact and at once, while
libvirt passes on a balloon's size only once a second.
"""

import time
from pathlib import Path

MiB = 1 << 20
NEAR = 0.01  # "there" is within 1 % of the allocation that it ends with
CALM = 3  # seconds without movement after which memory is where it should be


class Watch:
    """Samples of every guest's size, from the moment of creation on."""

    def __init__(self, guests, full):
        self.guests = guests
        self.full = full  # per guest: memory, and the MemTotal that belongs to it
        self.began = time.monotonic()
        self.samples = []
        self.look()

    def look(self):
        sizes = {}
        for guest in self.guests:
            memory, total = self.full[guest.name]
            sizes[guest.name] = memory - total + guest.hog.stats()["meminfo"]["MemTotal"]
        self.samples.append((time.monotonic() - self.began, sizes))

    def is_calm(self):
        now, last = self.samples[-1]
        recent = [sizes for t, sizes in self.samples if now - t <= CALM]
        return now >= CALM and all(_near(sizes, last) for sizes in recent)

    def result(self):
        """(seconds until all were there, bytes that each guest gained or lost)"""
        first, last = self.samples[0][1], self.samples[-1][1]
        there = 0.0
        for t, sizes in self.samples:
            if not _near(sizes, last):
                there = None
            elif there is None:
                there = t
        return there, {name: last[name] - first[name] for name in last}


def _near(sizes, final):
    return all(abs(sizes[name] - final[name]) <= NEAR * final[name] for name in final)


class Process:
    """The CPU time and the resident size of a process."""

    def __init__(self, pid):
        self.folder = Path("/proc", str(pid))
        self.began = time.monotonic()
        self.cpu_before = self._cpu_ms()

    def _cpu_ms(self):
        """From schedstat, in nanoseconds and of every thread; utime only counts whole ticks."""
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in (self.folder / "task").iterdir()) / 1e6

    def cost(self):
        """(CPU time in ms, part of one CPU, resident bytes, of these not of files)"""
        cpu = self._cpu_ms() - self.cpu_before
        fields = {}
        for line in (self.folder / "status").read_text().splitlines():
            key, value = line.split(":", 1)
            fields[key] = value.split()
        return (cpu, cpu / 1000 / (time.monotonic() - self.began),
                int(fields["VmRSS"][0]) << 10, int(fields["RssAnon"][0]) << 10)
