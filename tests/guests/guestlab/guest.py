"""One running guest: what libvirt and the host say of it, and the hog inside it."""

import fcntl
import itertools
import json
import os
import signal
import socket
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from .domain import LAB_PORT
from .errors import LabError
from .sizes import KiB, MiB, parse_size


def wait_for(what, condition, timeout, interval=0.05):
    """Calls condition until it gives something true, which is returned."""
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


class Hog:
    """The program in the guest that obeys. Each call is a connection of its own, so that a test,
    its children and a developer's command line can use the same guest."""

    def __init__(self, folder, name):
        self.name = name
        self.path = Path(folder) / "channel" / name / LAB_PORT
        self.counter = itertools.count(1)

    def call(self, command, timeout=60):
        """Sends one command line; its answer as a dict, without `id` and `ok`."""
        limit = time.monotonic() + timeout
        ident = f"{os.getpid()}.{next(self.counter)}"
        # The port serves one client at a time; a second would connect and never be answered.
        with open(f"{self.path}.lock", "w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise LabError(f"guest '{self.name}': another client holds the hog's port "
                                       f"for {timeout:g} s") from None
                    time.sleep(0.002)
            answer = self._exchange(f"{ident} {command}\n", ident, command, limit, timeout)
        if not answer.pop("ok"):
            raise LabError(f"guest '{self.name}': hog: {command}: {answer.get('error')}"
                           + (" (its process was killed)" if answer.get("killed") else ""))
        del answer["id"]
        if "output" in answer:  # bytes as code points, since they need not be UTF-8
            answer["output"] = answer["output"].encode("latin-1").decode(errors="replace")
        return answer

    def _exchange(self, line, ident, command, limit, timeout):
        with socket.socket(socket.AF_UNIX) as s:
            self._connect(s, limit)
            s.sendall(line.encode())
            buffer = b""
            while True:
                left = limit - time.monotonic()
                if left <= 0:
                    raise LabError(f"guest '{self.name}': hog: no answer to '{command}' within "
                                   f"{timeout:g} s; its console is in {self.console()}")
                s.settimeout(left)
                try:
                    more = s.recv(65536)
                except socket.timeout:
                    continue
                if not more:
                    raise LabError(f"guest '{self.name}': hog: the guest ended during '{command}'")
                buffer += more
                *lines, buffer = buffer.split(b"\n")
                for text in lines:
                    # What an earlier client left over is no JSON or has another ID.
                    try:
                        answer = json.loads(text)
                    except ValueError:
                        continue
                    if isinstance(answer, dict) and answer.get("id") == ident:
                        return answer

    def _connect(self, s, limit):
        # Through a descriptor of the directory, since a socket's path may have 107 bytes only.
        folder = os.open(self.path.parent, os.O_PATH)
        try:
            while True:
                try:
                    return s.connect(f"/proc/self/fd/{folder}/{self.path.name}")
                except OSError as e:
                    if time.monotonic() > limit:
                        raise LabError(f"guest '{self.name}': cannot connect to {self.path}: "
                                       f"{e.strerror}") from None
                    time.sleep(0.01)
        finally:
            os.close(folder)

    def console(self):
        return self.path.parents[2] / "log" / f"console-{self.name}.log"

    def ping(self, timeout=60):
        """Round trip; milliseconds since the guest booted."""
        return self.call("ping", timeout)["uptime_ms"]

    def alloc(self, size, kind="random", timeout=300):
        """Allocates and writes memory: "random", "zero", or "pool" (pages that every guest has).
        Returns all bytes held; raises if the guest's OOM killer ends the attempt."""
        return self.call(f"alloc {parse_size(size)} {kind}", timeout)["held"]

    def fill(self, size, mib_per_s, kind="random"):
        """Like alloc, at a rate and in the background; what is left is in
        stats()["load"]["filling"]."""
        self.call(f"fill {parse_size(size)} {mib_per_s} {kind}")

    def free(self, size=None):
        """Gives memory back, from the end; all of it without a size. Returns bytes still held."""
        return self.call("free" + (f" {parse_size(size)}" if size is not None else ""))["held"]

    def hot(self, size, period_ms=100, write=False, scattered=False):
        """Keeps touching `size` bytes of what is held, once every period: the first ones, or pages
        scattered over all of it."""
        self.call(f"hot {parse_size(size)} {period_ms}" + (" write" if write else "")
                  + (" scattered" if scattered else ""))

    def cache(self, size, period_ms=1000, mapped=False):
        """Keeps reading that much page cache, by read() or mapped; a smaller size later keeps the
        rest of it idle, 0 drops it."""
        self.call(f"cache {parse_size(size)} {period_ms}" + (" mapped" if mapped else ""))

    def zram(self, size):
        """Adds a swap device in compressed memory."""
        return self.call(f"zram {parse_size(size)}")["device"]

    def oomscore(self, score):
        """oom_score_adj of the process that holds the memory (-500; 1000: the first victim)."""
        self.call(f"oomscore {score}")

    def hugepages(self, on):
        """Whether later allocations may use transparent huge pages (the kernel's default: yes)."""
        self.call(f"hugepages {'on' if on else 'off'}")

    def stats(self, timeout=60):
        """meminfo (bytes), vmstat, psi_some, psi_full, load, uptime_ms."""
        return self.call("stats", timeout)

    def low(self, size, timeout=70):
        """Returns at the moment when less than that is available in the guest, and how much is."""
        return self.call(f"low {parse_size(size)}", timeout)["available"]

    def run(self, command, timeout=70, check=True):
        """Runs a busybox shell command in the guest; its output."""
        answer = self.call(f"run {command}", timeout)
        if check and answer["status"]:
            raise LabError(f"guest '{self.name}': '{command}' ended with status "
                           f"{answer['status']}: {answer['output'].strip()}")
        return answer["output"]

    def send(self, command):
        """For what is not answered: reboot, poweroff, crash, quit."""
        with socket.socket(socket.AF_UNIX) as s:
            self._connect(s, time.monotonic() + 10)
            s.sendall(f"{os.getpid()}.{next(self.counter)} {command}\n".encode())
            s.settimeout(1)
            try:
                s.recv(4096)
            except OSError:
                pass


class Guest:
    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.hog = Hog(lab.dir, name)

    def __repr__(self):
        return f"<Guest {self.name}>"

    # --- what it is -------------------------------------------------------------------------

    @property
    def pid(self):
        """QEMU's process, on this machine (the lab has no pid namespace)."""
        path = self.lab.dir / "run" / "qemu" / f"{self.name}.pid"
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            raise LabError(f"guest '{self.name}' is not running") from None

    @property
    def uuid(self):
        return self.virsh("domuuid", self.name).strip()

    def virsh(self, *args, **options):
        return self.lab.virsh(*args, **options)

    def state(self):
        """libvirt's word: "running", "paused", "shut off"; "gone" for one it does not know."""
        try:
            return self.virsh("domstate", self.name).strip()
        except LabError:
            return "gone"

    def xml(self, inactive=False):
        return self.virsh("dumpxml", self.name, *(["--inactive"] if inactive else []))

    def channel(self, port):
        """The path of a virtio-serial port's socket."""
        for channel in ElementTree.fromstring(self.xml()).iter("channel"):
            if channel.find("target").get("name") == port:
                return Path(channel.find("source").get("path"))
        raise LabError(f"guest '{self.name}' has no channel '{port}'")

    # --- memory -----------------------------------------------------------------------------

    def smaps(self):
        """Sums of /proc/PID/smaps_rollup in bytes: Rss, Pss, Anonymous, Swap, ..."""
        fields = {}
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]:
            key, value = line.split()[:2]
            fields[key.rstrip(":")] = int(value) * KiB
        return fields

    def rss(self):
        """Resident bytes of the whole QEMU process, its own overhead included."""
        return self.smaps()["Rss"]

    def balloon_stats(self):
        """virsh dommemstat, in bytes where they are bytes: actual, available, usable, ..."""
        plain = {"major_fault", "minor_fault", "last_update", "hugetlb_pgalloc", "hugetlb_pgfail"}
        fields = (line.split() for line in self.virsh("dommemstat", self.name).splitlines())
        return {f[0]: int(f[1]) * (1 if f[0] in plain else KiB) for f in fields if len(f) == 2}

    def actual(self):
        return self.balloon_stats()["actual"]

    def set_memory(self, size):
        """Sets the balloon's target and returns at once; see wait_actual."""
        self.virsh("setmem", self.name, f"{parse_size(size) // KiB}K", "--live")

    def wait_actual(self, size, tolerance=4 * MiB, timeout=30):
        """Waits until the balloon is there; its actual."""
        size = parse_size(size)
        last = 0

        def there():
            nonlocal last
            last = self.actual()
            return abs(last - size) <= parse_size(tolerance)

        try:
            wait_for(self.name, there, timeout)
        except LabError:
            raise LabError(f"guest '{self.name}': actual is {last // MiB} MiB and not "
                           f"{size // MiB} MiB after {timeout:g} s") from None
        return last

    def stats_period(self, seconds):
        self.virsh("dommemstat", self.name, "--period", str(seconds), "--live")

    # --- life -------------------------------------------------------------------------------

    def suspend(self):
        self.virsh("suspend", self.name)

    def resume(self):
        self.virsh("resume", self.name)

    def sigstop(self):
        """Hangs QEMU itself, monitor and all."""
        os.kill(self.pid, signal.SIGSTOP)

    def sigcont(self):
        os.kill(self.pid, signal.SIGCONT)

    def start(self, timeout=120):
        """Starts a persistent guest that is off."""
        self.virsh("start", self.name)
        self.hog.ping(timeout)

    def reboot(self, timeout=120):
        """Resets the machine and waits until the hog of the new boot answers."""
        before = self.hog.call("ping")["boot"]
        self.virsh("reset", self.name)
        wait_for(f"guest '{self.name}': reboot",
                 lambda: self.hog.call("ping", timeout)["boot"] != before, timeout)

    def shutdown(self, timeout=30):
        """Powers off from inside."""
        self.hog.send("poweroff")
        wait_for(f"guest '{self.name}': shutdown",
                 lambda: self.state() in ("gone", "shut off"), timeout)

    def destroy(self):
        self.virsh("destroy", self.name)

    def undefine(self):
        self.virsh("undefine", self.name)
