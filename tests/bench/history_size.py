#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
How large the history gets: history_size.py BUILD_DIR [GUESTS...]. It has bench-store write four hours
of 20 guests, four fifths of which change what they use all the time, asks SQLite how many bytes each
kind of row took, and multiplies by guests and by the times for which memctld keeps them. Prints the
table of docs/operations.md. Some seconds.
"""

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE_GUESTS, SAMPLE_MINUTES = 20, 240
RAW_DAYS, MINUTE_DAYS, HOUR_DAYS = 1, 31, 731  # the default keep-raw, keep-minutes, keep-hours
LIMIT = 1 << 30  # the default size


def bytes_a_day(build):
    """Of a guest, by tier. Decisions and events count with the minutes, beside which they are kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        subprocess.run([Path(build) / "tests/bench/bench-store", str(SAMPLE_GUESTS),
                        str(SAMPLE_MINUTES), path], check=True, stdout=subprocess.DEVNULL)
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        sizes = dict(db.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"))
        filled = dict(db.execute("SELECT name, SUM(payload) FROM dbstat GROUP BY name"))
        hours, = db.execute("SELECT COUNT(*) FROM guest_hour").fetchone()
        db.close()
    days = SAMPLE_MINUTES / 1440 * SAMPLE_GUESTS
    # They are too few to fill their pages; one day they will, as the minutes do.
    hour = filled["guest_hour"] / hours * sizes["guest_minute"] / filled["guest_minute"]
    return {"raw": (sizes["guest_raw"] + sizes["host_raw"]) / days,
            "minute": (sizes["guest_minute"] + sizes["host_minute"] + sizes["decision"]
                       + sizes["event"]) / days,
            "hour": 24 * hour}


def after(daily, guests, days):
    """Bytes after so many days, where nothing shortens it."""
    return guests * (daily["raw"] * min(days, RAW_DAYS) + daily["minute"] * min(days, MINUTE_DAYS)
                     + daily["hour"] * min(days, HOUR_DAYS))


def kept(daily, guests, days):
    """What part of their times raw rows and minutes have in LIMIT; both are shortened alike."""
    hours = guests * daily["hour"] * min(days, HOUR_DAYS)
    rest = guests * (daily["raw"] * RAW_DAYS + daily["minute"] * MINUTE_DAYS)
    return max(0, min(1, (LIMIT - hours) / rest))


def size(count):
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def span(days):
    return f"{days:.0f} d" if days >= 2 else f"{days * 24:.0f} h"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    daily = bytes_a_day(sys.argv[1])
    print("# bytes a guest and day: " + ", ".join(f"{k} {v:.0f}" for k, v in daily.items()))
    print("| guests | first day | a month | two years | in 1 GiB after a month: raw rows, minutes |\n"
          "|---|---|---|---|---|")
    for guests in [int(word) for word in sys.argv[2:]] or (10, 50, 100, 200, 500, 1000):
        part = kept(daily, guests, MINUTE_DAYS)
        print(f"| {guests} | {size(after(daily, guests, 1))} | {size(after(daily, guests, 31))} | "
              f"{size(after(daily, guests, 731))} | {span(part * RAW_DAYS)}, "
              f"{span(part * MINUTE_DAYS)} |")


if __name__ == "__main__":
    main()
