#!/usr/bin/env python3
"""
What the agent says that a guest works with, against what it really works with.

    working_set.py BUILD_DIR [--quick] [--method NAME]... [--window SECONDS] [--guests N]
                   [--rows FROM:TO]

Goes through hot sets of different sizes, shapes and speeds in guests that share the work; prints a
table in Markdown. All of it takes 40 minutes of one emulated guest, and with three of them (the
default) a third of that if the machine has nothing else to do; --rows does a part. --quick is five.
As a module: cells() and measure().
"""

import argparse
import json
import queue
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

from guestlab import Lab, MiB, why_not  # noqa: E402

METHODS = ("referenced", "lru-gen")
SIZE = 280 * MiB
HOT = (10, 25, 50, 90)
FAST_MS = 100
WINDOW = 8


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
    options = "--enable-lru-gen" if method == "lru-gen" else ""
    text = hog.run(f"balloon-guest-agent --once --method {method} --window {window} {options}",
                   timeout=120)
    return json.loads(text)["working_set"]


def load(hog, cell):
    """Begin with the cell's work."""
    if cell.kind == "anonymous":
        hog.run("echo %s > /sys/kernel/mm/transparent_hugepage/enabled"
                % ("always" if cell.huge else "never"))
        hog.alloc(SIZE)
        hog.hot(cell.hot, cell.pass_ms, scattered=cell.scattered)
        return
    hog.cache(SIZE, cell.pass_ms, mapped=cell.kind == "mapped files")
    limit = time.monotonic() + 30
    while hog.stats()["load"]["cache_us"] == 0 and time.monotonic() < limit:
        time.sleep(0.2)
    hog.cache(cell.hot, cell.pass_ms)


def unload(hog, cell):
    if cell.kind == "anonymous":
        hog.hot(0)
        hog.free()
    else:
        hog.cache(0)
    time.sleep(cell.pass_ms / 1000 + 1)


def measure(hog, method, cell, window=WINDOW):
    """(What the agent says, beyond what the idle guest works with; the truth), bytes."""
    idle = ask(hog, method, 2)
    load(hog, cell)
    time.sleep(1)
    said = ask(hog, method, window)
    unload(hog, cell)
    figure = said["active"] + said["read_cache"] - idle["active"] - idle["read_cache"]
    return max(figure, 0), cell.hot, said


def error_of(figure, truth):
    return (figure - truth) / truth


def work(hog, todo, window, done):
    """Rows from the queue until there are none; a row that fails says so in its place."""
    while True:
        try:
            number, method, row = todo.get_nowait()
        except queue.Empty:
            return
        try:
            errors = [f"{100 * error_of(*measure(hog, method, cell, window)[:2]):+.0f} %"
                      for cell in row]
        except (OSError, ValueError, RuntimeError) as failure:
            errors = [f"failed: {failure}"]
        done.put((number, f"| {method} | {row[0].name()} | " + " | ".join(errors) + " |"))


def table(build, methods, window, quick, count, part):
    rows = cells(window * 300, quick)
    percents = [cell.percent for cell in rows[0]]
    print(f"Error of the agent's figure, {SIZE // MiB} MiB allocated or cached, window {window} s, "
          f"slow: a pass every {window * 0.3:g} s\n")
    print("| method | memory | " + " | ".join(f"{p} % hot" for p in percents) + " |")
    print("|---" * (2 + len(percents)) + "|")
    todo, done = queue.Queue(), queue.Queue()
    wanted = [(method, row) for method in methods for row in rows][part]
    for number, (method, row) in enumerate(wanted):
        todo.put((number, method, row))
    with Lab(build) as lab:
        guests = lab.boot_many([f"guest{number}" for number in range(count)], memory="512M")
        workers = [threading.Thread(target=work, args=(guest.hog, todo, window, done))
                   for guest in guests]
        for worker in workers:
            worker.start()
        lines = {}
        for _ in wanted:
            number, line = done.get()
            print(f"# {line}", flush=True)
            lines[number] = line
        for worker in workers:
            worker.join()
    for number in sorted(lines):
        print(lines[number])


def parse_part(text):
    first, _, last = text.partition(":")
    return slice(int(first or 0), int(last) if last else None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--guests", type=int, default=3)
    parser.add_argument("--rows", type=parse_part, default=slice(None))
    arguments = parser.parse_args()
    if why_not():
        sys.exit(f"working_set.py: {why_not()}")
    table(arguments.build, arguments.method or METHODS, arguments.window, arguments.quick,
          arguments.guests, arguments.rows)
