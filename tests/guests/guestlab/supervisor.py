"""The process that keeps one lab: it runs a private libvirtd and takes everything down at the end.

Started as `supervisor.py DIR OWNER`, with OWNER 0 for a lab that outlives who started it.

Private means: a mount namespace in which directories of DIR lie over those of the system's
libvirt; where such a directory does not exist, an overlay over its parent gives a place to mount
on without creating it. Control groups, the system bus and the host's network are out of sight, so
that libvirtd cannot register, create or change anything there.

Nothing is left behind because there are two processes, and each ends the other's work:

    owner <-- pidfd -- worker -- children --> libvirtd, every QEMU (reparented: it is a sub-reaper)
                         ^ PDEATHSIG
                       guard  (a sub-reaper too: if the worker is killed, it inherits the rest)

When the owner ends, in whatever way, the worker kills all its descendants and removes DIR. If the
worker is killed, the guard does it; if the guard is killed, the worker.

The worker listens on DIR/control for one JSON object per connection: {"do": "start" | "stop" |
"status" | "hugepages" | "down"}, and answers with one.
"""

import ctypes
import grp
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import uuid
from pathlib import Path

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NAME = 1, 36, 15

# What lies over the system's directories, by its name in DIR.
BINDS = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "etc": "/etc/libvirt",
}

# Root, because libvirt probes QEMU again and again when QEMU's user cannot open /dev/kvm; and
# nothing that would need virtlogd, a security driver or a private /dev for each guest.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
security_driver = "none"
namespaces = [ ]
hugetlbfs_mount = "{dir}/hugetlb"
"""

LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_outputs = "3:file:{dir}/log/libvirtd.log"
host_uuid = "{uuid}"
"""

HUGEPAGES = "/proc/sys/vm/nr_overcommit_hugepages"

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    args = [a.encode() if isinstance(a, str) else a for a in args]
    if getattr(libc, name)(*args) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}{tuple(args)}: {os.strerror(error)}")


def mount(source, target, kind=None, flags=0, data=None):
    call("mount", source, str(target), kind, ctypes.c_ulong(flags), data)


# --- the end ----------------------------------------------------------------------------------

def descendants():
    """Pids of all processes below this one, parents first. Zombies count, since they have
    to be reaped."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_text()
            except OSError:
                continue
            parent = int(stat[stat.rindex(")") + 2:].split()[1])
            children.setdefault(parent, []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def reap():
    """Collects ended children; pids and wait statuses."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def take_down(folder):
    """Ends every descendant, undoes what was changed on the host, removes the directory."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        pids = descendants()
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.01)
    release_hugepages(folder)
    with open("/proc/self/mountinfo") as mounts:
        inside = [line.split()[4] for line in mounts if line.split()[4].startswith(f"{folder}/")]
    for path in reversed(inside):
        try:
            call("umount2", path, MNT_DETACH)
        except OSError:
            pass
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def add_hugepages(folder, pages):
    """Lets guests have that many more huge pages; the file says how many to take back."""
    note = folder / "hugepages"
    taken = int(note.read_text()) if note.exists() else 0
    note.write_text(str(taken + pages))
    Path(HUGEPAGES).write_text(str(int(Path(HUGEPAGES).read_text()) + pages))


def release_hugepages(folder):
    note = folder / "hugepages"
    if note.exists():
        left = int(Path(HUGEPAGES).read_text()) - int(note.read_text())
        note.unlink()
        Path(HUGEPAGES).write_text(str(max(0, left)))


# --- the private view -------------------------------------------------------------------------

def enter_private_view(folder):
    call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    scratch = folder / "overlay"
    scratch.mkdir()
    mount("memctl-lab", scratch, "tmpfs", 0, "mode=0755")
    for name, target in BINDS.items():
        (folder / name).mkdir()
        if not os.path.isdir(target):
            make_place(Path(target), scratch)
        mount(str(folder / name), target, None, MS_BIND)
    add_accounts(folder)
    (folder / "empty").mkdir()
    if os.path.isdir("/run/dbus"):
        mount(str(folder / "empty"), "/run/dbus", None, MS_BIND)
    (folder / "hugetlb").mkdir()
    try:
        mount("memctl-lab", folder / "hugetlb", "hugetlbfs")
    except OSError:
        pass  # not in this kernel: guests on huge pages will not start
    hide_cgroups()
    mount("memctl-lab", "/sys", "sysfs")  # shows this namespace's network interfaces: none


def make_place(target, scratch):
    """A directory to mount on, in this namespace only."""
    parent = target.parent
    upper, work = (scratch / f"{kind}{str(parent).replace('/', '-')}" for kind in ("up", "work"))
    upper.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    try:
        mount("memctl-lab", parent, "overlay", 0,
              f"lowerdir={parent},upperdir={upper},workdir={work}")
        target.mkdir()
    except OSError as e:
        raise OSError(e.errno, f"there is no {target} to mount on and no overlay can stand in for "
                               f"it ({e}); create the empty directory {target}") from None


def add_accounts(folder):
    """libvirtd looks up the user it was built for even though another is configured; a machine
    without the distribution's libvirt service does not have it."""
    for path, lookup, names, line in (
            ("/etc/passwd", pwd.getpwnam, ["libvirt-qemu", "qemu"], "{}:x:0:0::/:/bin/false\n"),
            ("/etc/group", grp.getgrnam, ["libvirt-qemu", "kvm", "qemu"], "{}:x:0:\n")):
        missing = []
        for name in names:
            try:
                lookup(name)
            except KeyError:
                missing.append(line.format(name))
        if missing:
            copy = folder / os.path.basename(path)
            copy.write_text(Path(path).read_text() + "".join(missing))
            mount(str(copy), path, None, MS_BIND)


def hide_cgroups():
    with open("/proc/self/mountinfo") as mounts:
        fields = [line.split() for line in mounts]
    for field in reversed(fields):
        if field[field.index("-") + 1] in ("cgroup", "cgroup2"):
            try:
                call("umount2", field[4], MNT_DETACH)
            except OSError:
                pass  # a container's locked mount: libvirtd then uses what it may use


# --- libvirtd ---------------------------------------------------------------------------------

class Libvirtd:
    def __init__(self, folder):
        self.folder = folder
        self.pid = 0
        etc = folder / "etc"
        (etc / "qemu.conf").write_text(QEMU_CONF.format(dir=folder))
        (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(dir=folder, uuid=uuid.uuid4()))

    def start(self):
        if self.pid:
            return
        socket_path = self.folder / "run" / "libvirt-sock"
        if socket_path.exists():
            socket_path.unlink()
        keep = {k: v for k, v in os.environ.items()
                if not k.startswith(("LISTEN_", "NOTIFY_", "LIBVIRT", "XDG_"))}
        with open(self.folder / "log" / "libvirtd.out", "a") as out:
            # The child is reaped together with all others, so Popen's object is of no use.
            self.pid = subprocess.Popen(
                ["libvirtd", "-f", str(self.folder / "etc" / "libvirtd.conf"),
                 "-p", str(self.folder / "libvirtd.pid")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=keep, cwd="/").pid
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(socket_path))
                    return
            except OSError:
                pass
            if self.pid in reap():
                self.pid = 0
                raise OSError("libvirtd ended at once: " + self.complaint())
            time.sleep(0.01)
        raise OSError("libvirtd does not listen after 30 s: " + self.complaint())

    def complaint(self):
        lines = []
        for name in ("libvirtd.out", "libvirtd.log"):
            path = self.folder / "log" / name
            if path.exists():
                lines += path.read_text(errors="replace").strip().splitlines()[-5:]
        return "\n".join(lines) or "it said nothing"

    def stop(self, number):
        if self.pid:
            os.kill(self.pid, number)
            limit = time.monotonic() + 15
            while self.pid and time.monotonic() < limit:
                self.ended(reap())
                time.sleep(0.005)
        if self.pid:
            raise OSError(f"libvirtd (process {self.pid}) did not end within 15 s")

    def ended(self, pids):
        if self.pid in pids:
            self.pid = 0


# --- the worker -------------------------------------------------------------------------------

class Worker:
    def __init__(self, folder, owner):
        self.folder = folder
        self.owner = owner
        self.done = False

    def run(self, report):
        wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if self.owner:
            owner = os.pidfd_open(self.owner)
            poll.register(owner, select.POLLIN)
        enter_private_view(self.folder)
        control = socket.socket(socket.AF_UNIX)
        control.bind(str(self.folder / "control"))
        control.listen(8)
        poll.register(control, select.POLLIN)
        self.libvirtd = Libvirtd(self.folder)
        self.libvirtd.start()
        report("ready")
        while not self.done:
            for fd, _ in poll.poll():
                if fd == wake:
                    os.read(wake, 512)
                elif fd == control.fileno():
                    self.serve(control)
                else:
                    self.done = True
            self.libvirtd.ended(reap())

    def on_signal(self, *_):
        self.done = True

    def serve(self, control):
        client, _ = control.accept()
        with client:
            client.settimeout(5)
            try:
                request = json.loads(client.makefile().readline())
                reply = {"ok": True, **(self.obey(request) or {})}
            except (OSError, ValueError, KeyError) as e:
                reply = {"ok": False, "error": str(e)}
            try:
                client.sendall(json.dumps(reply).encode() + b"\n")
            except OSError:
                pass

    def obey(self, request):
        do = request["do"]
        if do == "start":
            self.libvirtd.start()
        elif do == "stop":
            self.libvirtd.stop(request["signal"])
        elif do == "hugepages":
            add_hugepages(self.folder, request["pages"])
        elif do == "down":
            self.done = True
        elif do != "status":
            raise ValueError(f"no such request '{do}'")
        return {"libvirtd": self.libvirtd.pid, "guard": os.getppid(), "owner": self.owner,
                "log": self.libvirtd.complaint()}


def prctl(option, value):
    call("prctl", option, ctypes.c_ulong(value), 0, 0, 0)


def main():
    folder, owner = Path(sys.argv[1]), int(sys.argv[2])
    if owner and os.getppid() != owner:
        shutil.rmtree(folder)  # it ended before we could watch it
        return 0
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guard = os.getpid()
    worker = os.fork()
    if worker == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        status = 1
        try:
            if os.getppid() == guard:
                Worker(folder, owner).run(report)
                status = 0
        except BaseException as e:
            traceback.print_exc()
            report(f"error: {e}")
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            take_down(folder)
            os._exit(status)
    os.close(1)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGTERM))
    while worker not in reap():
        try:
            signal.sigtimedwait([signal.SIGCHLD], 0.5)
        except InterruptedError:
            pass
    take_down(folder)
    return 0


def report(text):
    """The one line that the starter waits for; standard output is a pipe to it."""
    os.write(1, text.replace("\n", "\0").encode() + b"\n")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)


if __name__ == "__main__":
    sys.exit(main())
