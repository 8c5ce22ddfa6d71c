"""A lab: a private libvirtd with guests, in a scratch directory, for as long as its owner lives."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import accel as acceleration
from . import image as images
from .domain import bare_xml, domain_xml, edit_saved_image, emulator
from .errors import LabError
from .guest import Guest
from .sizes import MiB, parse_size

SUPERVISOR = Path(__file__).with_name("supervisor.py")
NEEDED = {"libvirtd": "libvirt-daemon", "virsh": "libvirt-clients"}


def why_not():
    """Why no lab can run on this machine, in a sentence; None if one can."""
    if os.geteuid() != 0:
        return "the lab needs root (mount namespaces, a system libvirtd)"
    for program, package in NEEDED.items():
        if not shutil.which(program):
            return f"'{program}' is not installed (package {package})"
    try:
        emulator()
        images.busybox()
    except LabError as e:
        return str(e)
    if not hasattr(os, "pidfd_open"):
        return "Python 3.9 or later is needed"
    test = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True)
    if test.returncode:
        return f"no mount namespace can be made here: {test.stderr.strip()}"
    return None


class Lab:
    """
    with Lab(build_dir) as lab:
        guest = lab.boot("web1", memory="512M")

    `uri` is what any libvirt client connects to, `dir` the scratch directory; both end with the
    lab. `build_dir` is where lab-hog and the agent were built; without it the hog is compiled.
    """

    def __init__(self, build_dir=None, *, agent=True, cache=None, kernel_package=None,
                 folder=None, detached=False, say=None):
        reason = why_not()
        if reason:
            raise LabError(reason)
        self.say = say or (lambda text: None)
        self.cache = images.cache_dir(cache)
        if agent is True:
            agent = images.find_agent(build_dir)
        self.image = images.build(build_dir, agent or None, self.cache, kernel_package,
                                  say=self.say)
        self.accel = acceleration.choose(self.image, self.cache, self.say)
        if folder:
            self.dir = Path(folder).resolve()
            self.dir.mkdir(mode=0o755)
        else:
            self.dir = Path(tempfile.mkdtemp(prefix="memctl-lab-", dir="/tmp")).resolve()
        self._prepare()
        self._start(detached)

    @classmethod
    def attach(cls, folder, say=None):
        """The lab that runs detached in a directory."""
        folder = Path(folder).resolve()
        try:
            note = json.loads((folder / "lab.json").read_text())
        except (OSError, ValueError):
            raise LabError(f"no lab runs in {folder}; start one with 'lab up --dir {folder}'") \
                from None
        lab = cls.__new__(cls)
        lab.say = say or (lambda text: None)
        lab.dir, lab.process, lab.accel = folder, None, note["accel"]
        lab.cache = Path(note["cache"])
        lab.image = images.Image(Path(note["kernel"]), Path(note["initrd"]), note["release"])
        lab._prepare()
        lab.control("status")
        return lab

    def _prepare(self):
        self.socket = self.dir / "run" / "libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self.guests = {}
        self.lock = threading.Lock()

    def _start(self, detached):
        os.chmod(self.dir, 0o755)
        log = open(self.dir / "supervisor.log", "w")
        owner = 0 if detached else os.getpid()
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(SUPERVISOR), str(self.dir), str(owner)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd="/",
                start_new_session=True, text=True)
        try:
            word = self.process.stdout.readline().strip().replace("\0", "\n")
            if word != "ready":
                raise LabError("the lab's supervisor cannot start: " + (word or "it died"))
            self._seed_capabilities(self.cache / "capabilities",
                                    self.dir / "cache" / "qemu" / "capabilities")
            self._ready()
            (self.dir / "lab.json").write_text(json.dumps({
                "accel": self.accel, "cache": str(self.cache), "kernel": str(self.image.kernel),
                "initrd": str(self.image.initrd), "release": self.image.release}))
        except BaseException:
            self.down()
            raise
        finally:
            self.process.stdout.close()

    def _seed_capabilities(self, source, target):
        """libvirt takes seconds to learn what QEMU can do and writes it down; it checks by itself
        whether what it finds there is still true."""
        try:
            target.mkdir(parents=True, exist_ok=True)
            for path in source.glob("*.xml"):
                part = target / f".{path.name}.{os.getpid()}"
                shutil.copyfile(path, part)
                part.rename(target / path.name)
        except OSError:
            pass  # it only costs time

    def _ready(self):
        """libvirtd listens before its drivers are ready, and ends if one cannot start."""
        done = subprocess.run(["virsh", "-q", "-c", self.uri, "list"], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise LabError(f"libvirtd does not work: {done.stderr.strip()}\n"
                           f"{self.control('status')['log']}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self):
        """Ends every guest and libvirtd and removes the directory."""
        if self.process is None and not (self.dir / "control").exists():
            return
        try:
            guard = self.control("status")["guard"]
            self.control("down")
        except LabError:
            guard = None
        if self.process is not None:
            if guard is None:
                self.process.terminate()
            self.process.wait(60)
            self.process = None
            return
        limit = time.monotonic() + 60
        while self.dir.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        if self.dir.exists():
            raise LabError(f"the lab in {self.dir} (process {guard}) does not end")

    def control(self, do, **more):
        """One request to the supervisor."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(str(self.dir / "control"))
                s.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
                reply = json.loads(s.makefile().readline())
        except (OSError, ValueError) as e:
            raise LabError(f"the supervisor of the lab in {self.dir} does not answer: {e}; if its "
                           "processes are gone, remove the directory") from None
        if not reply["ok"]:
            raise LabError(reply["error"])
        return reply

    # --- libvirt ------------------------------------------------------------------------------

    def virsh(self, *args, timeout=120, check=True):
        """Runs virsh against this lab; its output."""
        command = ["virsh", "-q", "-c", self.uri, *map(str, args)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise LabError(f"virsh {' '.join(map(str, args))}: no answer within {timeout:g} s") \
                from None
        if check and done.returncode:
            raise LabError(f"virsh {' '.join(map(str, args))}: "
                           f"{done.stderr.strip().replace('error: ', '')}")
        return done.stdout

    @property
    def libvirtd_pid(self):
        return self.control("status")["libvirtd"]

    def kill_libvirtd(self, number=signal.SIGKILL):
        """Ends libvirtd and leaves it so; the guests go on."""
        self.control("stop", signal=int(number))

    def start_libvirtd(self):
        self.control("start")
        self._ready()

    def restart_libvirtd(self, number=signal.SIGTERM):
        self.kill_libvirtd(number)
        self.start_libvirtd()

    # --- guests -------------------------------------------------------------------------------

    def guest(self, name):
        """A guest by name, whoever started it."""
        with self.lock:
            return self.guests.setdefault(name, Guest(self, name))

    def running(self):
        return [self.guest(name) for name in self.virsh("list", "--name").split()]

    def define_xml(self, name, **options):
        return domain_xml(name, self.dir, self.image, self.accel, **options)

    def boot(self, name, *, persistent=False, wait=True, timeout=120, **options):
        """Boots a guest; domain.domain_xml lists the options. Returns when its hog answers."""
        if options.get("memory_backing") == "hugepages":
            pages = parse_size(options.get("memory", "512M")) // (2 * MiB)
            self.control("hugepages", pages=pages)
        xml = self.dir / f"{name}.xml"
        xml.write_text(self.define_xml(name, **options))
        (self.dir / "channel" / name).mkdir(parents=True, exist_ok=True)
        if persistent:
            self.virsh("define", xml)
            self.virsh("start", name)
        else:
            self.virsh("create", xml)
        guest = self.guest(name)
        if wait:
            guest.hog.ping(timeout)
            self._keep_capabilities()
        return guest

    def bare(self, name, memory="32M", start=True):
        """A guest without a system in it: no driver, no hog. Not started: the path of its XML."""
        xml = self.dir / f"{name}.xml"
        xml.write_text(bare_xml(name, self.accel, memory))
        if not start:
            return xml
        self.virsh("create", xml)
        return self.guest(name)

    def _keep_capabilities(self):
        source, target = self.dir / "cache" / "qemu" / "capabilities", self.cache / "capabilities"
        if any(not (target / path.name).exists() for path in source.glob("*.xml")):
            self._seed_capabilities(source, target)

    def boot_many(self, names, *, clone=False, **options):
        """Guests side by side: names with common options, or (name, {options}) pairs. With
        clone=True the first boots and the others are its copies: several times quicker, and they
        all begin with the same pages."""
        if clone:
            first = self.boot(names[0], **options)
            return [first, *self.clone(first, list(names[1:]))]
        pairs = [(n, options) if isinstance(n, str) else (n[0], {**options, **n[1]})
                 for n in names]
        with ThreadPoolExecutor(max(1, len(pairs))) as pool:
            return list(pool.map(lambda pair: self.boot(pair[0], **pair[1]), pairs))

    def clone(self, guest, names, metadata_xml=None):
        """Copies of a running guest, memory and all, with other names: saves it, restores it and
        once more for each name. The guest itself stands still meanwhile and has a new process
        afterwards. One name gives one guest, a list gives a list."""
        wanted = [names] if isinstance(names, str) else list(names)
        base = self.dir / f"save-{guest.name}"
        copies = [self.dir / f"save-{guest.name}-{name}" for name in wanted]
        try:
            self.virsh("save", guest.name, base, "--running")
            try:
                for name, path in zip(wanted, copies):
                    (self.dir / "channel" / name).mkdir(parents=True, exist_ok=True)
                    _copy(base, path)
                    edit_saved_image(path, self.dir, guest.name, name, metadata_xml)
            finally:
                self.virsh("restore", base)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda path: self.virsh("restore", path), copies))
        finally:
            for path in (base, *copies):
                if path.exists():
                    path.unlink()
        made = [self.guest(name) for name in wanted]
        for each in (guest, *made):
            each.hog.ping()
        return made[0] if isinstance(names, str) else made


def _copy(source, target):
    """In the kernel, which shares the blocks where the file system can."""
    with open(source, "rb") as a, open(target, "wb") as b:
        while os.copy_file_range(a.fileno(), b.fileno(), 1 << 30):
            pass
