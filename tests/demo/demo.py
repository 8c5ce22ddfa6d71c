#!/usr/bin/env python3
"""The quick start's demo: demo.py BUILD_DIR.

Three real guests have more memory together than there is; memctld divides what there is, while
one of them gets busy, gets idle and another is given more shares. In the end it says what moved
and how fast.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "guests")]

from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from measure import Process, Watch  # noqa: E402
from screen import Screen  # noqa: E402

GUESTS = {"web": 512 * MiB, "db": 768 * MiB, "batch": 512 * MiB}
# For guests and QEMU itself, which is 60 to 130 MiB for each: about 700 MiB less than what the
# guests would have without memctl.
BUDGET = "1400M"
# What db fills, and how quickly (MiB/s): more than it has at first, and not more in the 4 s that
# memory takes from one guest to another.
WORK, WORK_RATE = 320 * MiB, 25
LOOK_EVERY = 0.25
PATIENCE = 35

CONFIG = """\
[memctld]
connect = {uri}
socket = {dir}/memctld.sock
metrics = 127.0.0.1:{port}
interval = 1s

[budget]
budget = {budget}
overcommit = 1.0

[governor]
boot-grace = 0
cooldown = 5s

[policy]
name = working-set
"""


class DemoError(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """Whatever ends this program ends the daemon as well."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


class Daemon:
    """memctld from the build directory, and memctl to talk to it."""

    def __init__(self, build, lab):
        self.memctl = build / "cli" / "memctl"
        self.socket = lab.dir / "memctld.sock"
        self.log = lab.dir / "memctld.log"
        config = lab.dir / "memctld.conf"
        config.write_text(CONFIG.format(uri=lab.uri, dir=lab.dir, port=free_port(), budget=BUDGET))
        environment = {**os.environ, "MEMCTL_POLICY_PATH": str(build / "policies")}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [build / "daemon" / "memctld", "--config", config, "--store", "off"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment, preexec_fn=die_with_parent)

    def wait(self, guests):
        """Until it has a plan for so many guests."""
        limit = time.monotonic() + 15
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                if sum(g["plan"] is not None for g in self.list()) == guests:
                    return
            except DemoError:
                pass
            time.sleep(0.05)
        raise DemoError(f"memctld did not find the guests; it says:\n{self.log.read_text()}")

    def ask(self, *args):
        done = subprocess.run([self.memctl, "--json", "--socket", self.socket, *args],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise DemoError(f"memctl {' '.join(args)}: {done.stderr.strip()}"
                            + self.obituary())
        return json.loads(done.stdout)

    def obituary(self):
        if self.process.poll() is None:
            return ""
        return f"\nmemctld ended with status {self.process.returncode}:\n{self.log.read_text()}"

    def list(self):
        return sorted(self.ask("list"), key=lambda g: list(GUESTS).index(g["name"]))

    def plan(self):
        return self.ask("status")["plan"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Demo:
    def __init__(self, build):
        self.build = build
        self.screen = Screen()
        self.moves = []
        self.daemon = None

    def run(self):
        say = self.screen.say
        say("Starting a private libvirtd and three guests: "
            + ", ".join(f"{name} {size // MiB}M" for name, size in GUESTS.items()))
        began = time.monotonic()
        with Lab(self.build, say=lambda text: say(f"  {text}")) as lab:
            if lab.accel != "kvm":
                say("  there is no working KVM here: the guests are emulated, which is slower")
            self.guests = lab.boot_many([(name, {"memory": size})
                                         for name, size in GUESTS.items()], stats_period=1)
            say(f"  they are up after {time.monotonic() - began:.1f} s, with "
                f"{sum(GUESTS.values()) // MiB}M; the budget for them and QEMU is {BUDGET}")
            self.full = {g.name: (GUESTS[g.name], g.hog.stats()["meminfo"]["MemTotal"])
                         for g in self.guests}
            try:
                self.story(lab)
                self.summary()
            finally:
                if self.daemon:
                    self.daemon.stop()
        say("Everything of the demo is gone again; ./build stays.")

    def story(self, lab):
        db = next(g for g in self.guests if g.name == "db")

        watch = self.watch()
        self.daemon = Daemon(self.build, lab)
        self.cost = Process(self.daemon.process.pid)
        self.daemon.wait(len(self.guests))
        self.follow("memctld starts: the guests have more than there is, so all shrink",
                    "memctld starts", watch)

        watch = self.watch()
        db.hog.fill(WORK, WORK_RATE)
        self.follow(f"db gets busy and fills {WORK // MiB}M: the idle guests make room",
                    f"db fills {WORK // MiB}M at {WORK_RATE} MiB/s", watch,
                    until=lambda: db.hog.stats()["load"]["filling"] == 0)
        db.hog.hot(32 * MiB, 250)

        watch = self.watch()
        db.hog.free()
        self.follow("db is idle again: the others get their memory back",
                    "db frees them", watch)

        watch = self.watch()
        self.daemon.ask("set", "web", "shares=4000")
        self.follow("memctl set web shares=4000: of the spare memory web gets most",
                    "memctl set web shares=4000", watch)

    def watch(self):
        return Watch(self.guests, self.full)

    def follow(self, caption, title, watch, until=lambda: True):
        """Shows the table until memory is where it should be."""
        self.screen.act(caption)
        self.screen.show(self.daemon.list(), self.daemon.plan(), force=True)
        while time.monotonic() - watch.began < PATIENCE:
            time.sleep(LOOK_EVERY)
            watch.look()
            self.screen.show(self.daemon.list(), self.daemon.plan())
            if watch.is_calm() and until():
                break
        else:
            self.screen.say(f"(still moving after {PATIENCE} s, going on)")
        if not self.screen.live:
            self.screen.show(self.daemon.list(), self.daemon.plan(), force=True)
        self.moves.append((title, *watch.result()))

    def summary(self):
        say = self.screen.say
        self.screen.keep()
        say("\nSUMMARY")
        head = "".join(f"{name:>8}" for name in GUESTS)
        say(f"{'':28}{head}{'moved':>8}{'after':>9}{'MiB/s':>7}")
        for title, seconds, changes in self.moves:
            moved = max(sum(c for c in changes.values() if c > 0),
                        -sum(c for c in changes.values() if c < 0))
            gains = "".join(f"{round(changes[name] / MiB):>+7}M" for name in GUESTS)
            rate = round(moved / MiB / seconds) if seconds else "-"
            say(f"{title:<28}{gains}{round(moved / MiB):>7}M{seconds:>7.1f} s{rate:>7}")
        say("after: until every guest was within 1 % of where it ended, by its own MemTotal")
        say()
        harm = [g.hog.stats() for g in self.guests]
        kills = sum(h["vmstat"]["oom_kill"] for h in harm)
        swapped = sum(h["vmstat"]["pswpin"] + h["vmstat"]["pswpout"] for h in harm)
        stalled = sum(h.get("psi_some", {}).get("total_us", 0) for h in harm) / 1e6
        say(f"in the guests  {kills} processes killed for lack of memory, {swapped} pages swapped, "
            f"{stalled:.2f} s stalled")
        cpu, part, resident, anonymous = self.cost.cost()
        say(f"memctld        {part * 100:.2f}% of one CPU ({cpu:.0f} ms), {resident / MiB:.1f} MiB "
            f"resident, {anonymous / MiB:.1f} of it its own")
        say()


def end(number, frame):
    sys.exit(128 + number)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: demo.py BUILD_DIR")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        if why_not():
            raise DemoError(why_not())
        Demo(Path(sys.argv[1]).resolve()).run()
    except (LabError, DemoError) as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # nobody reads any more, as with '| head'
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; everything of the demo is gone", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
