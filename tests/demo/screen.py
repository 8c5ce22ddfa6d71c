"""The live table: redrawn in place on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time

MiB = 1 << 20
PLAIN_EVERY = 3
COLUMNS = "{:<7}{:>6}{:>6}{:>6}{:>8}{:>6}{:>8}  {:<19}{}"
HEAD = COLUMNS.format("GUEST", "SHARES", "MIN", "MAX", "ACTUAL", "USED", "TARGET", "WHY", "")
LEGEND = "# used  = had  . could have  | target"


def size(value):
    return "-" if value is None else f"{round(value / MiB)}M"


def target_of(guest):
    return (guest["plan"] or {}).get("target")


def bar_width():
    if not sys.stdout.isatty():
        return 24
    return max(8, min(36, shutil.get_terminal_size().columns - len(HEAD) - 1))


def bar(guest, scale):
    """Used, then the rest of what the guest has, then what it could have; `|` is the target."""
    width = bar_width()

    def cells(value):
        return min(width, round((value or 0) / scale * width))

    used, actual, most = (cells(guest[key]) for key in ("used", "actual", "max"))
    line = list("#" * used + "=" * (actual - used) + "." * (most - max(actual, used)))
    target = target_of(guest)
    if target is not None and line:
        line[min(len(line), max(1, cells(target))) - 1] = "|"
    return "".join(line)


def row(guest, scale):
    why = (guest["plan"] or {}).get("reason", "-") if guest["exempt"] == "no" else guest["exempt"]
    sizes = [size(guest[key]) for key in ("min", "max", "actual", "used")]
    return COLUMNS.format(guest["name"], guest["shares"], *sizes, size(target_of(guest)), why,
                          bar(guest, scale)).rstrip()


class Screen:
    def __init__(self):
        self.live = sys.stdout.isatty()
        self.began = time.monotonic()
        self.lines = 0
        self.caption = ""
        self.shown = 0

    def say(self, text=""):
        """A line that stays, above the table."""
        self.wipe()
        print(text, flush=True)

    def act(self, caption):
        """Says what happens now."""
        self.caption = caption
        self.shown = 0
        if not self.live:
            print(f"\n{self.clock()}  {caption}\n{'':8}{HEAD}{LEGEND}", flush=True)

    def clock(self):
        return f"{time.monotonic() - self.began:4.0f} s"

    def wipe(self):
        if self.live and self.lines:
            print(f"\033[{self.lines}F\033[J", end="")
        self.lines = 0

    def show(self, guests, plan, force=False):
        scale = max(g["max"] for g in guests)
        rows = [row(g, scale) for g in guests]
        if not self.live:
            if force or time.monotonic() - self.shown > PLAIN_EVERY:
                self.shown = time.monotonic()
                print("\n".join(f"{self.clock() if i == 0 else '':8}{r}"
                                for i, r in enumerate(rows)), flush=True)
            return
        now = sum(g["actual"] for g in guests)
        total = (f"{'all':<7}{size(now):>26} of {size(plan['divided'])}: budget "
                 f"{size(plan['budget'])}, QEMU itself {size(plan['overheads'])}")
        width = shutil.get_terminal_size().columns
        lines = ["", f"{self.clock()}  {self.caption}", "", HEAD, *rows, total, "",
                 f"{'':7}{LEGEND}"]
        self.wipe()
        print("\n".join(line[:width - 1] for line in lines), flush=True)
        self.lines = len(lines)

    def keep(self):
        """Leaves the table where it is and goes on below it."""
        self.lines = 0
