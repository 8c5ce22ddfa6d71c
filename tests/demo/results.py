#!/usr/bin/env python3
"""Adds up what meson's tests said: results.py BUILD_DIR...

A program that speaks TAP counts with each of its tests, any other as one; one that fails although
its tests did not (a leak found at the end, a crash, a timeout) counts as one failure more. Prints
the output of what failed, why tests were skipped, and last `N passed, N failed, N skipped`. The
exit status is 0 if tests ran and none failed.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?$", re.I | re.M)
TEST = re.compile(r"^(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*([^#\n]*)"
                  r"(?:#[ \t]*(skip|todo)\S*[ \t]*(.*))?", re.I | re.M)
LOGS = ("testlog", "guests")  # what ./quickstart lets meson call them
FINE = ("OK", "EXPECTEDFAIL", "SKIP")
HEAD, TAIL = 80, 20  # lines shown of a failed program: a sanitizer's first words matter most


def programs(build):
    for name in LOGS:
        path = Path(build, "meson-logs", f"{name}.json")
        if path.exists():
            for line in path.read_text().splitlines():
                yield json.loads(line)


def count(program):
    """Counts of passed, failed and skipped, and (test, reason) of the skipped ones."""
    counts, skips = Counter(), []
    output = program.get("stdout", "")
    plan = PLAN.search(output)
    if plan:
        for failed, name, mark, reason in TEST.findall(output):
            if mark.lower() == "skip":
                counts["skipped"] += 1
                skips.append((name.strip(), reason))
            else:
                counts["failed" if failed and not mark else "passed"] += 1
    if program["result"] not in FINE:
        counts["failed"] = max(1, counts["failed"])
    elif not counts:
        kind = "skipped" if program["result"] == "SKIP" else "passed"
        counts[kind] = 1
        if kind == "skipped":
            lines = output.strip().splitlines()
            skips.append(("", plan[2] if plan and plan[2] else lines[-1] if lines else None))
    return counts, skips


def show_failure(build, program):
    print(f"\n--- {build}: {program['name']}: {program['result']} "
          f"(exit status {program.get('returncode')})")
    for stream in ("stdout", "stderr"):
        lines = program.get(stream, "").rstrip().splitlines()
        more = len(lines) - HEAD - TAIL
        if more > 0:
            lines[HEAD:-TAIL] = [f"[{more} lines more in the logs in {build}/meson-logs]"]
        if lines:
            print("\n".join(lines))


def main():
    total, skipped = Counter(), []
    for build in sys.argv[1:]:
        for program in programs(build):
            counts, skips = count(program)
            total += counts
            skipped += [(build, program["name"], *skip) for skip in skips]
            if counts["failed"]:
                show_failure(build, program)
    for build, program, test, reason in skipped:
        print(f"skipped: {build}: {program}{': ' if test else ''}{test}: "
              f"{reason or 'no reason given'}")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
