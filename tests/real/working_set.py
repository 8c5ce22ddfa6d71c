#!/usr/bin/env python3
"""
What the agent says that a guest works with, against what it really works with.

    working_set.py BUILD_DIR [--quick] [--method NAME]... [--window SECONDS] [--guests N]
                   [--rows FROM:TO] [--results FILE]

Goes through hot sets of different sizes, shapes and speeds in guests that share the work, and prints
a table in Markdown; docs/working-set.md was made by it. "agent" is what the agent says by itself, as
it is installed. A method that the guest's kernel does not have says so in its row
(MEMCTL_LAB_KERNEL_PACKAGE: a guest with another kernel). All of it takes half an hour with four
emulated guests (the default) on two processors; --rows does a part, --quick the corners. With
--results what was found is kept, and cells that are there, and have not failed, are not done again.
As a module: Cell and measure().
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

from guestlab import Lab, LabError, MiB, why_not  # noqa: E402

# As it is installed, and by a window of a given length.
AGENT = "agent"
METHODS = (AGENT, "referenced", "lru-gen")
MORE_METHODS = ("idle-page", "damon")
SIZE = 280 * MiB
HOT = (10, 25, 50, 90)
FAST_MS = 500
SLOW_MS = 7000  # for windows of 10 s and more
WINDOW = 8
LONGEST_S = 900
BELOW, ABOVE = -0.05, 0.10


class Cell:
    def __init__(self, kind, percent, pass_ms=FAST_MS, scattered=False, huge=False):
        self.kind, self.percent, self.pass_ms = kind, percent, pass_ms
        self.scattered, self.huge = scattered, huge
        self.hot = SIZE * percent // 100

    def name(self):
        words = [self.kind]
        if self.kind == "anonymous":
            words += ["scattered" if self.scattered else "contiguous"]
            words += ["huge pages"] if self.huge else []
        return ", ".join(words + ["slow" if self.pass_ms != FAST_MS else "fast"])


def cells(slow_ms, quick=False):
    """In rows of the same name; quick: the corners."""
    shapes = [(scattered, huge, pass_ms) for huge in (False, True) for scattered in (False, True)
              for pass_ms in (FAST_MS, slow_ms)]
    if quick:
        shapes = [(False, False, FAST_MS), (True, True, FAST_MS), (False, False, slow_ms)]
    rows = [[Cell("anonymous", hot, pass_ms, scattered, huge) for hot in HOT]
            for scattered, huge, pass_ms in shapes]
    for kind in ("mapped files", "read()"):
        for pass_ms in (FAST_MS,) if quick else (FAST_MS, slow_ms):
            rows.append([Cell(kind, hot, pass_ms) for hot in HOT])
    return [[cell for cell in row if cell.percent in (10, 50)] if quick else row for row in rows]


def ask(hog, method, window):
    """In the background: the hog lets no command run for more than a minute."""
    options = [f"--method {'auto' if method == AGENT else method}"]
    options += [f"--window {window}"] if window else []
    options += ["--enable-lru-gen"] if method == "lru-gen" else []
    hog.run("rm -f /tmp/said /tmp/ended; setsid sh -c '"
            + " ".join(["balloon-guest-agent --once", *options])
            + " >/tmp/said 2>&1; echo $? >/tmp/e; mv /tmp/e /tmp/ended' >/dev/null 2>&1 </dev/null & "
            "until [ -e /tmp/said ]; do sleep 0.1; done")
    limit = time.monotonic() + LONGEST_S
    while time.monotonic() < limit:
        time.sleep(1)
        status, _, text = hog.run("cat /tmp/ended 2>/dev/null || echo; cat /tmp/said").partition("\n")
        if status == "0":
            return json.loads(text)["working_set"]
        if status:
            raise LabError(text.strip())
    raise LabError(f"the agent is not done after {LONGEST_S} s")


def load(hog, cell):
    """Begin with the cell's work."""
    if cell.kind == "anonymous":
        hog.run("echo %s > /sys/kernel/mm/transparent_hugepage/enabled"
                % ("always" if cell.huge else "never"))
        hog.alloc(SIZE)
        hog.hot(cell.hot, cell.pass_ms, scattered=cell.scattered)
        return
    # All of it was used more than once, as it is with what is idle now. A pass that began goes on.
    hog.cache(SIZE, FAST_MS, mapped=cell.kind == "mapped files")
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        seen = hog.stats()
        if seen["load"]["cache_us"] and (cell.kind == "mapped files"
                                         or seen["meminfo"]["Active(file)"] > SIZE * 0.9):
            break
        time.sleep(0.2)
    hog.cache(cell.hot, cell.pass_ms)
    time.sleep(2 * hog.stats()["load"]["cache_us"] / 1e6)


def unload(hog, cell):
    if cell.kind == "anonymous":
        hog.hot(0)
        hog.free()
    else:
        hog.cache(0)
    time.sleep(cell.pass_ms / 1000 + 1)


def idle_ask(hog, method):
    """None for a method that the guest's kernel does not have."""
    try:
        return ask(hog, method, 2)
    except LabError:
        return None


def measure(hog, method, cell, window=WINDOW, idle=None):
    """(What the agent says, beyond what the idle guest works with; the truth), bytes."""
    idle = idle or ask(hog, method, 2)
    load(hog, cell)
    time.sleep(1)
    try:
        said = ask(hog, method, window)
    finally:
        unload(hog, cell)
    figure = said["active"] + said["read_cache"] - idle["active"] - idle["read_cache"]
    return max(figure, 0), cell.hot, said


def error_of(figure, truth):
    return (figure - truth) / truth


class Table:
    """Cells that wait to be measured, in the order in which that is done, and what came of each."""

    def __init__(self, methods, window, quick, part, results=None):
        self.window = window
        rows = [(method, row) for method in methods
                for row in cells(SLOW_MS if method == AGENT else window * 300, quick)][part]
        self.rows = [(method, row) for method, row in rows]
        self.results, self.file = {}, results
        if results and results.exists():
            self.results = {key: result for key, result in json.loads(results.read_text()).items()
                            if "failed" not in result}
        self.lock = threading.Lock()
        places = [(number, column) for number, (_, row) in enumerate(self.rows)
                  for column in range(len(row)) if self.key((number, column)) not in self.results]
        # What takes long comes first, so that the guests end at about the same time.
        self.todo = sorted(places, key=lambda place: -self.weight(place))

    def key(self, place):
        method, row = self.rows[place[0]]
        cell = row[place[1]]
        return f"{method}, {cell.name()}, {cell.percent} %"

    def weight(self, place):
        method, row = self.rows[place[0]]
        return (row[0].huge * 5 + 1) * (3 if method == AGENT else 1) * (
            2 if row[0].pass_ms != FAST_MS else 1)

    def work(self, guest, methods):
        """Until there are no cells left; one that fails says so in its place."""
        idle = {}
        while True:
            with self.lock:
                if not self.todo:
                    return
                place = self.todo.pop(0)
            method, row = self.rows[place[0]]
            window = None if method == AGENT else self.window
            began = time.monotonic()
            try:
                for name in [] if idle else methods:
                    idle[name] = idle_ask(guest.hog, name)
                figure, truth, said = measure(guest.hog, method, row[place[1]], window, idle[method])
                result = dict(error=error_of(figure, truth), sure=said["confidence"],
                              method=said["method"])
            except LabError as failure:
                absent = "cannot find out" in str(failure)
                result = dict(failed="not in this kernel" if absent else f"failed: {failure}")
            self.note(place, result, time.monotonic() - began)

    def note(self, place, result, took):
        with self.lock:
            self.results[self.key(place)] = result
            print(f"{len(self.results)} of {sum(len(row) for _, row in self.rows)}: "
                  f"{self.key(place)}: {self.text_of(place)} ({took:.0f} s)", file=sys.stderr,
                  flush=True)
            if self.file:
                self.file.write_text(json.dumps(self.results, indent=1))

    def fill(self, build, count):
        with Lab(build) as lab:
            guests = lab.boot_many([f"guest{number}" for number in range(count)], memory="512M")
            kernel = guests[0].hog.run("uname -r").strip()
            methods = list(dict.fromkeys(method for method, _ in self.rows))
            workers = [threading.Thread(target=self.work, args=(guest, methods))
                       for guest in guests]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        return kernel

    def text_of(self, place):
        result = self.results[self.key(place)]
        if "failed" in result:
            return result["failed"]
        text = f"{100 * result['error']:+.0f} %"
        return f"**{text}**" if not BELOW <= result["error"] <= ABOVE else text

    def show(self):
        percents = [cell.percent for cell in self.rows[0][1]]
        print("| method | memory | " + " | ".join(f"{p} % hot" for p in percents) + " |")
        print("|---" * (2 + len(percents)) + "|")
        for number, (method, row) in enumerate(self.rows):
            print(f"| {method} | {row[0].name()} | " + " | ".join(
                self.text_of((number, column)) for column in range(len(row))) + " |")
        for method in dict.fromkeys(method for method, _ in self.rows):
            results = [self.results[self.key((number, column))]
                       for number, (name, row) in enumerate(self.rows) if name == method
                       for column in range(len(row))]
            errors = [result["error"] for result in results if "error" in result]
            if errors:
                used = {result["method"] for result in results if "method" in result}
                print(f"\n`{method}`" + (f" (by `{'`, `'.join(sorted(used))}`)"
                                         if method == AGENT else "")
                      + f": {len(errors)} cells, "
                      f"{sum(BELOW <= error <= ABOVE for error in errors)} within -5 and +10 %, "
                      f"{sum(error > ABOVE for error in errors)} above, "
                      f"{sum(error < BELOW for error in errors)} below; "
                      f"from {100 * min(errors):+.0f} to {100 * max(errors):+.0f} %.")


def parse_part(text):
    first, _, last = text.partition(":")
    return slice(int(first or 0), int(last) if last else None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--method", action="append", choices=METHODS + MORE_METHODS)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--guests", type=int, default=4)
    parser.add_argument("--rows", type=parse_part, default=slice(None))
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if why_not():
        sys.exit(f"working_set.py: {why_not()}")
    began = time.monotonic()
    table = Table(arguments.method or METHODS, arguments.window, arguments.quick, arguments.rows,
                  arguments.results)
    kernel = table.fill(arguments.build, arguments.guests)
    print(f"took {(time.monotonic() - began) / 60:.0f} minutes", file=sys.stderr)
    print(f"Linux {kernel} in {arguments.guests} guests of 512 MiB at once, {time.strftime('%F')}. "
          f"{SIZE // MiB} MiB allocated or cached. "
          f"Fast: all of the hot part every {FAST_MS / 1000:g} s. Slow: every {SLOW_MS / 1000:g} s "
          f"for `{AGENT}`, whose window is its own choice, every {arguments.window * 0.3:g} s for "
          f"the others, whose window is {arguments.window} s.\n")
    table.show()


if __name__ == "__main__":
    main()
