#!/usr/bin/env python3
"""
How well the host knows what a process touches, by a real kernel: idle page tracking and DAMON.

    MEMCTL_LAB_KERNEL_PACKAGE=FILE.deb sample.py BUILD_DIR [--window SECONDS] [--rounds N]

Runs what memctld does to a QEMU inside a lab guest, to a process there, since few kernels have
both; what the guest's kernel has not is said. Prints a table in Markdown: the error of the most that
may be touched, which is what counts as active, in the last round; the bounds there; and how often
the truth was within the bounds. Four rounds count together, so of their bounds only every fourth
ones are news. Ten minutes. Root.
"""

import argparse
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "guests")]

from guestlab import Lab, MiB, why_not  # noqa: E402

TOTAL = 240
HOT = (10, 25, 50, 90)
METHODS = ("idle-page", "damon")
TOGETHER = 4  # rounds


def rounds(hog, method, window, count, hot, huge):
    # The hog lets no command run for more than a minute.
    assert window * count <= 50, "choose a shorter window or fewer rounds"
    text = hog.run(f"balloon-guest-agent {method} {window} {count} {TOTAL} {hot} "
                   + ("huge" if huge else ""), timeout=70)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def cell(seen, hot):
    """DAMON knows nothing until it has learned."""
    last = seen[-1]
    within = [line["least"] <= hot * MiB <= line["most"] for line in seen[TOGETHER - 1::TOGETHER]]
    return (f"{100 * (last['most'] / MiB - hot) / hot:+.0f} % "
            f"({last['least'] / MiB:.0f} to {last['most'] / MiB:.0f}M, {sum(within)}/{len(within)})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--method", action="append", choices=METHODS)
    args = parser.parse_args()
    if why_not():
        sys.exit(f"sample.py: {why_not()}")
    print(f"{TOTAL} MiB, touched every 100 ms; window {args.window} s, {args.rounds} rounds\n")
    print("| method | pages | " + " | ".join(f"{percent} % hot" for percent in HOT)
          + " | processor a round |")
    print("|---" * (3 + len(HOT)) + "|")
    with Lab(args.build, agent=Path(args.build) / "tests/guests/look") as lab:
        hog = lab.boot("host", memory="512M").hog
        for method in args.method or METHODS:
            for huge in (False, True):
                row, cost = [], []
                for percent in HOT:
                    hot = TOTAL * percent // 100
                    seen = rounds(hog, method, args.window, args.rounds, hot, huge)
                    if "error" in seen[0]:
                        sys.exit(f"sample.py: {method}: {seen[0]['error']}")
                    row.append(cell(seen, hot))
                    cost += [line["cpu_us"] / 1000 for line in seen]
                print(f"| {method} | {'huge' if huge else 'small'} | " + " | ".join(row)
                      + f" | {sorted(cost)[len(cost) // 2]:.1f} ms |", flush=True)


if __name__ == "__main__":
    main()
