"""A memctld from the build tree, for a test: its own socket, port and configuration."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path


# Memory that was freed shall count as freed in a build with the address sanitizer, too.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=4")

# For tests of who gets what: an amount that does not depend on the host, and all of it at once.
STRICT = ("[budget]\novercommit = 1.0\ndistress-reserve = 0\n"
          "[governor]\nboot-grace = 0\nshrink-rate = 100%\ncooldown = 0\n")

BY_SHARES = "[policy]\nname = shares\n"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Memctld:
    """
    with Memctld(build_dir, connect=lab.uri, budget="1500M") as memctld:
        memctld.json("list")

    Further arguments are options of memctld; one that is True takes no value.

    store=True keeps a history in the test's folder; else there is none.

    recording=True keeps a recording of every start, for replay(); preload is a library that is
    loaded before all others.
    """

    def __init__(self, build_dir, connect, config="", wait=True, recording=False, store=False,
                 preload=None, **options):
        self.build = Path(build_dir).resolve()
        self.folder = Path(tempfile.mkdtemp(prefix="memctld-test-"))
        self.socket = self.folder / "memctld.sock"
        self.config = self.folder / "memctld.conf"
        self.log_file = self.folder / "log"
        self.port = free_port()
        self.config.write_text(config)
        self.store = self.folder / "memctl.db"
        self.arguments = ["--store", str(self.store) if store else "off", "--config", str(self.config), "--connect", connect,
                          "--socket", str(self.socket), "--metrics", f"127.0.0.1:{self.port}"]
        for name, value in options.items():
            self.arguments += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self.environment = dict(os.environ, MEMCTL_POLICY_PATH=str(self.build / "policies"),
                                MEMCTL_SCAN=os.environ.get("MEMCTL_SCAN") or
                                str(self.build / "daemon" / "scanner" / "memctl-scan"))
        if preload:
            self.environment["LD_PRELOAD"] = str(preload)
        self.process = None
        self.recording = recording
        self.recordings = []
        with contextlib.ExitStack() as stack:  # whoever fails to start is not left running
            stack.push(self)
            self.start(wait)
            stack.pop_all()

    def start(self, wait=True):
        arguments = list(self.arguments)
        if self.recording:
            self.recordings.append(self.folder / f"recording-{len(self.recordings)}")
            arguments += ["--record", str(self.recordings[-1])]
        wrapper = shlex.split(os.environ.get("MEMCTLD_WRAPPER", ""))
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, self.build / "daemon" / "memctld", *arguments], stderr=log,
                env=self.environment)
        if wait:
            wait_for("memctld to answer", self.answers)

    def answers(self):
        assert self.process.poll() is None, f"memctld ended\n{self.log()}"
        return self.run("status").returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            code = self.stop()
            log = self.log()
        finally:
            shutil.rmtree(self.folder)
        assert code in (0, -signal.SIGKILL), f"memctld ended with {code}\n{log}"
        assert "Sanitizer" not in log and "runtime error" not in log, log

    def stop(self, number=signal.SIGTERM):
        """Returns the exit code; a daemon that has ended keeps the one it had."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"memctld did not stop\n{self.log()}") from None

    def log(self):
        return self.log_file.read_text(errors="replace")

    def run(self, *arguments):
        return subprocess.run([self.build / "cli" / "memctl", "--socket", self.socket, *arguments],
                              capture_output=True, text=True, timeout=60, env=self.environment)

    def json(self, *arguments):
        done = self.run("--json", *arguments)
        assert done.returncode == 0, f"memctl {arguments}: {done.stderr}\n{self.log()}"
        return json.loads(done.stdout)

    def replay(self):
        """What replaying each recording says; the daemon must have stopped."""
        return [json.loads(subprocess.run([self.build / "cli" / "memctl", "--json", "replay", file],
                                          capture_output=True, text=True, timeout=60,
                                          env=self.environment).stdout)
                for file in self.recordings]

    def guests(self):
        """What the daemon last saw, by name."""
        return {guest["name"]: guest for guest in self.json("list")}

    def processor_seconds(self):
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def cost(self, seconds):
        """
        What it costs from now on for so long: seconds of processor time a minute, and how often its
        threads went to sleep in a tick.
        """
        def spent():
            tasks = list(Path(f"/proc/{self.process.pid}/task").iterdir())
            return (sum(int((task / "schedstat").read_text().split()[0]) for task in tasks),
                    sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                      (task / "status").read_text(), re.M)[1]) for task in tasks))

        ticks = self.json("status")["counters"]["ticks"]
        time.sleep(1)  # what the answer cost is not counted
        began, before = time.monotonic(), spent()
        time.sleep(seconds)
        passed, after = time.monotonic() - began, spent()
        ticks = self.json("status")["counters"]["ticks"] - ticks
        return ((after[0] - before[0]) / 1e9 * 60 / passed,
                (after[1] - before[1]) / (ticks * passed / (passed + 1)))

    def metrics(self):
        url = f"http://127.0.0.1:{self.port}/metrics"
        while True:
            try:
                with urllib.request.urlopen(url, timeout=30) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                if error.code != 429:  # to ask less often: under a sanitizer all costs more
                    raise
                time.sleep(1)

    def footprint(self):
        """Anonymous memory in bytes, open descriptors and threads of the process."""
        folder = Path("/proc", str(self.process.pid))
        kib = int(re.search(r"RssAnon:\s+(\d+) kB", (folder / "status").read_text())[1])
        return {"memory": kib << 10, "descriptors": len(os.listdir(folder / "fd")),
                "threads": len(os.listdir(folder / "task"))}

    def request(self, data, shutdown=True):
        """Send bytes to the control socket; returns all that comes back."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.socket))
            s.sendall(data)
            if shutdown:
                s.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
                if not shutdown and answer.endswith(b"\n"):
                    break
            return answer


class TickWatch:
    """
    with TickWatch(memctld, interval) as ticks: how late each tick is in that time, in seconds; after
    that count(), p99(), and the whole as text. A tick that is not made at all counts as late as its
    absence was seen to be long. Where it is not let look as often as it would, it sees some ticks
    only in their count.
    """

    LOOK_EVERY = 0.04

    def __init__(self, memctld, interval):
        self.memctld, self.interval = memctld, interval
        self.lateness = []
        self.ticks = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self):
        self.began = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        self.seconds = time.monotonic() - self.began

    def look(self):
        last, changed = None, time.monotonic()
        looked = changed
        while not self.end.wait(self.LOOK_EVERY):
            try:
                page = self.memctld.metrics()
            except OSError:
                continue
            now = time.monotonic()
            count, late = (float(re.search(rf"^memctl_{name} (\S+)", page, re.M)[1])
                           for name in ("ticks_total", "tick_lateness_seconds"))
            if last is not None and count != last:
                missed = max(looked - changed - self.interval - self.LOOK_EVERY, 0)
                self.lateness.append(max(late, missed))
            if count != last:
                self.ticks += int(count - last) if last is not None else 0
                last, changed = count, now
            looked = now
        silence = looked - changed - self.interval
        if silence > self.interval:
            self.lateness.append(silence)

    def count(self):
        return self.ticks

    def p99(self):
        return sorted(self.lateness)[max(0, -(-len(self.lateness) * 99 // 100) - 1)]

    def __str__(self):
        return (f"{self.count()} ticks in {self.seconds:.1f} s, late by {self.p99() * 1000:.0f} ms "
                f"(p99), {max(self.lateness) * 1000:.0f} ms (most)")


@contextlib.contextmanager
def simulate(build, scenario, config=STRICT, **options):
    """A memctld over a simulated host, when it has seen all guests that run there from the start."""
    options.setdefault("budget", "1G")
    options.setdefault("interval", "200ms")
    there = {g["name"] for g in scenario["guests"] if not g.get("start") and not g.get("stop")}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(scenario, file)
        file.flush()
        with Memctld(build, f"sim:{file.name}", config=config, **options) as memctld:
            wait_for("guests", lambda: there <= memctld.guests().keys(), 60)
            yield memctld


def wait_for(what, condition, timeout=20):
    """Returns the condition's value as soon as it is true, and how long that took."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value, time.monotonic() - began
        if time.monotonic() - began > timeout:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)
