"""What a guest boots: an uncompressed kernel and a small initramfs, built once and cached.

The kernel is the distribution's own, taken out of its package without installing anything.
QEMU starts an ELF `vmlinux` directly (PVH), which saves the firmware and the decompression that
dominate a boot in emulation; a distribution's `vmlinuz` carries that ELF file as its payload.

The initramfs holds busybox, our two static programs (lab-init, lab-hog), the few kernel modules
that a guest needs and, if there is one, the guest agent. It is a function of its inputs: the same
inputs give the same bytes, and the name in the cache is the hash of the inputs.
"""

import gzip
import hashlib
import lzma
import os
import shutil
import stat
import struct
import subprocess
import tempfile
import time
import zlib
from collections import namedtuple
from pathlib import Path

from .errors import LabError

HERE = Path(__file__).resolve().parent.parent

# In the order in which they have to be loaded; what the kernel has built in is left out. The hog
# starts when the first are there and the others follow.
MODULES = [
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "virtio_console", "virtio_balloon",
]
LATE_MODULES = ["virtio_mem", "zsmalloc", "lzo", "lzo-rle", "zram"]
LAYOUT = 2  # to be raised when what this file makes of the same inputs changes
NEEDED = ["virtio_pci", "virtio_console", "virtio_balloon"]

Image = namedtuple("Image", "kernel initrd release")


def cache_dir(path=None):
    if path:
        return Path(path).resolve()
    if os.environ.get("MEMCTL_LAB_CACHE"):
        return Path(os.environ["MEMCTL_LAB_CACHE"]).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base).resolve() / "memctl-lab"


def build(build_dir=None, agent=None, cache=None, kernel_package=None, refresh=False, say=None):
    """Returns an Image; everything that was built before comes from the cache."""
    say = say or (lambda text: None)
    cache = cache_dir(cache)
    cache.mkdir(parents=True, exist_ok=True)
    kernel = _kernel(cache, kernel_package, refresh, say)
    programs = {
        "lab-init": _program("lab-init", ["init.c"], build_dir, cache),
        "lab-hog": _program("lab-hog", ["hog.c", "load.c", "load.h"], build_dir, cache),
        "busybox": busybox(),
    }
    if agent:
        programs["balloon-guest-agent"] = _static(Path(agent))
    initrd = _initramfs(cache, kernel, programs, say)
    _prune(cache, keep={initrd, *programs.values()})
    return Image(kernel / "vmlinux", initrd, (kernel / "release").read_text().strip())


def _prune(cache, keep):
    """Forgets what was not used for two weeks."""
    for path in [*cache.glob("initramfs-*"), *cache.glob("lab-*")]:
        try:
            if path in keep:
                os.utime(path)
            elif path.stat().st_mtime < time.time() - 14 * 24 * 3600:
                path.unlink()
        except FileNotFoundError:
            pass


def find_agent(build_dir):
    """The statically linked agent of a build directory, or None."""
    if not build_dir:
        return None
    for name in ("balloon-guest-agent-static", "balloon-guest-agent"):
        for folder in ("balloon-guest-agent", "."):
            path = Path(build_dir) / folder / name
            if path.is_file() and _is_static(path):
                return path
    return None


# --- programs ---------------------------------------------------------------------------------

def _is_static(path):
    """True for an ELF program that asks for no dynamic loader (no PT_INTERP)."""
    with open(path, "rb") as f:
        head = f.read(64)
        if head[:5] != b"\x7fELF\x02":
            return False
        phoff, phsize, phnum = (struct.unpack_from("<Q", head, 32)[0],
                                *struct.unpack_from("<HH", head, 54))
        f.seek(phoff)
        table = f.read(phsize * phnum)
    return all(struct.unpack_from("<I", table, i * phsize)[0] != 3 for i in range(phnum))


def _static(path):
    if not path.is_file():
        raise LabError(f"'{path}' does not exist; build it first")
    if not _is_static(path):
        raise LabError(f"'{path}' is not a static program and would not run in a guest, which has "
                       "no libraries; link it with -static")
    return path


def _program(name, sources, build_dir, cache):
    """The program from the build directory, or compiled here when it has not been built."""
    for folder in ("tests/guests", "guests", "."):
        path = Path(build_dir or "/nonexistent") / folder / name
        if path.is_file():
            return _static(path)
    sources = [HERE / source for source in sources]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    out = cache / f"{name}-{digest.hexdigest()[:16]}"
    if out.exists():
        return out
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise LabError(f"{name} is not built and there is no C compiler; build the project first "
                       "(meson compile) and name its build directory")
    part = out.with_suffix(f".{os.getpid()}")
    done = subprocess.run([*compiler.split(), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static",
                           "-pthread",
                           "-o", part, *(s for s in sources if s.suffix == ".c")],
                          capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"cannot compile {sources[0]}:\n{done.stderr.strip()}\n"
                       "(static linking needs libc's static library, e.g. libc6-dev, glibc-static)")
    part.rename(out)
    return out


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/usr/sbin/busybox"):
        if os.path.exists(path) and _is_static(path):
            return Path(path)
    raise LabError("no static busybox on this machine; install it "
                   "(Debian, Ubuntu: apt install busybox-static; Fedora: dnf install busybox)")


# --- kernel -----------------------------------------------------------------------------------

def _kernel(cache, package, refresh, say):
    """A cache directory with vmlinux, release and modules/*.ko."""
    package = package or os.environ.get("MEMCTL_LAB_KERNEL_PACKAGE")
    current = cache / f"kernel-{LAYOUT}"
    if not package and not refresh and (current / "vmlinux").exists():
        return current.resolve()
    with tempfile.TemporaryDirectory(prefix="memctl-lab-kernel-") as tmp:
        tmp = Path(tmp)
        if package:
            files = [Path(p).resolve() for p in str(package).split(",")]
            for path in files:
                if not path.is_file():
                    raise LabError(f"kernel package '{path}' does not exist")
        else:
            files = _download(tmp, say)
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.read_bytes())
        folder = cache / f"kernel-{LAYOUT}-{digest.hexdigest()[:16]}"
        if not (folder / "vmlinux").exists():
            say("unpacking " + ", ".join(p.name for p in files))
            tree = tmp / "tree"
            tree.mkdir()
            for path in files:
                _unpack(path, tree)
            _publish(_collect(tree, tmp), folder)
    if not package:
        link = cache / f".kernel.{os.getpid()}"
        link.symlink_to(folder.name)
        link.replace(current)
    return folder


def _run(command, cwd=None):
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise LabError(f"'{command[0]}' is not installed, which the guest's kernel needs") from None
    except subprocess.CalledProcessError as e:
        raise LabError(f"'{' '.join(map(str, command))}' failed: {e.stderr.strip()}") from None


def _download(tmp, say):
    ids = _os_release()
    if "ubuntu" in ids:
        names = _apt_kernel("linux-image-virtual", ("linux-image-", "linux-modules-"))
    elif "debian" in ids:
        names = _apt_kernel("linux-image-cloud-amd64", ("linux-image-",))
    elif "fedora" in ids or "rhel" in ids:
        say("downloading kernel-core and kernel-modules-core")
        _run(["dnf", "download", "--destdir", str(tmp), "kernel-core", "kernel-modules-core"])
        return sorted(tmp.glob("*.rpm"))
    else:
        raise LabError("no rule for getting a kernel on this distribution; give one with "
                       "--kernel-package FILE (a .deb or .rpm, several separated by commas)")
    say("downloading " + ", ".join(names))
    # apt fetches as user _apt, which has to be able to write here.
    os.chmod(tmp, 0o755)
    if os.geteuid() == 0:
        try:
            shutil.chown(tmp, "_apt")
        except LookupError:
            pass
    _run(["apt-get", "download", *names], cwd=tmp)
    return sorted(tmp.glob("*.deb"))


def _os_release():
    fields = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if os.path.exists(path):
            for line in open(path):
                key, _, value = line.strip().partition("=")
                fields[key] = value.strip('"')
            break
    return [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]


def _apt_kernel(meta, prefixes):
    """The versioned packages behind a meta package, whose dependency names the image."""
    def depends(package):
        lines = _run(["apt-cache", "depends", "--no-recommends", "--no-suggests", package])
        return [line.split()[-1] for line in lines.splitlines() if "Depends:" in line]

    found = []
    try:
        for name in depends(meta):
            if name.startswith(prefixes):
                found.append(name)
                found += [n for n in depends(name) if n.startswith(prefixes)]
    except LabError as e:
        raise LabError(f"{e}; 'apt-get update' may help, or give a kernel with "
                       "--kernel-package FILE") from None
    if not found:
        raise LabError(f"package '{meta}' names no kernel image; run 'apt-get update', or give a "
                       "kernel with --kernel-package FILE")
    return sorted({n for n in found if "modules-extra" not in n})


def _unpack(package, tree):
    if package.suffix == ".deb":
        _run(["dpkg-deb", "-x", str(package), str(tree)])
    elif package.suffix == ".rpm":
        cpio = subprocess.run(["rpm2cpio", str(package)], capture_output=True)
        if cpio.returncode:
            raise LabError(f"cannot unpack '{package}': {cpio.stderr.decode().strip()}")
        subprocess.run(["cpio", "-idm", "--quiet"], input=cpio.stdout, cwd=tree, check=True)
    else:
        raise LabError(f"'{package}' is neither a .deb nor an .rpm package")


def _collect(tree, tmp):
    """Picks vmlinux and modules out of an unpacked package."""
    images = sorted(p for p in tree.rglob("vmlinuz*") if p.is_file() and not p.is_symlink())
    if not images:
        raise LabError("the kernel package holds no vmlinuz; give the package with the image")
    out = tmp / "out"
    (out / "modules").mkdir(parents=True)
    (out / "vmlinux").write_bytes(_vmlinux(images[0].read_bytes()))
    folders = sorted(p for p in tree.glob("**/lib/modules/*") if p.is_dir())
    if not folders:
        raise LabError("the kernel package holds no modules; give the modules package as well "
                       "(--kernel-package IMAGE,MODULES)")
    modules = {}
    builtin = set()
    for folder in folders:
        for path in folder.rglob("*.ko*"):
            modules[path.name.split(".ko")[0].replace("-", "_")] = path
        for path in folder.glob("modules.builtin"):
            builtin |= {os.path.basename(line)[:-3].replace("-", "_")
                        for line in path.read_text().split()}
    order = []
    for name in MODULES:
        _with_dependencies(name.replace("-", "_"), modules, order)
    early = len(order)
    for name in LATE_MODULES:
        _with_dependencies(name.replace("-", "_"), modules, order)
    missing = [n for n in NEEDED if n not in order and n not in builtin]
    if missing:
        raise LabError(f"this kernel has no {', '.join(missing)}; give another with "
                       "--kernel-package FILE")
    for name in order:
        (out / "modules" / f"{name}.ko").write_bytes(_module(modules[name]))
    (out / "modules" / "order").write_text(
        "".join(f"{n}.ko\n" for n in [*order[:early], "start", *order[early:]])
        .replace("start.ko", "start"))
    (out / "release").write_text(folders[0].name + "\n")
    return out


def _with_dependencies(name, modules, order):
    if name in order or name not in modules:
        return
    for field in _module(modules[name]).split(b"\0"):
        if field.startswith(b"depends="):
            for needed in field[8:].decode().split(","):
                _with_dependencies(needed.replace("-", "_"), modules, order)
    order.append(name)


def _module(path):
    """Decompressed and without its signature, whose check takes the emulated CPU 50 ms each."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF":
        data = _decompress(data, path.name)
    magic = b"~Module signature appended~\n"
    if data.endswith(magic):
        # struct module_signature, 12 bytes that end with the length of what precedes them
        length = struct.unpack(">I", data[-len(magic) - 4:-len(magic)])[0]
        data = data[:-len(magic) - 12 - length]
    return data


def _vmlinux(image):
    """The compressed ELF inside a bzImage; Documentation/arch/x86/boot.rst, payload_offset."""
    if image[:4] == b"\x7fELF":
        return image
    if image[0x202:0x206] != b"HdrS":
        raise LabError("the package's vmlinuz is not an x86 bzImage; give another kernel with "
                       "--kernel-package FILE")
    setup = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup + 1) * 512 + offset
    vmlinux = _decompress(image[start:start + length], "the kernel's payload")
    if vmlinux[:4] != b"\x7fELF":
        raise LabError("the kernel's payload is not an ELF file; give another kernel with "
                       "--kernel-package FILE")
    return vmlinux


def _decompress(data, what):
    """By magic number. A kernel payload ends with four bytes of size that are no part of it."""
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)
    tools = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
    tool = tools.get(data[:4])
    if not tool:
        raise LabError(f"{what} is compressed in a way that the lab does not know")
    if not shutil.which(tool):
        raise LabError(f"{what} is compressed with {tool}, which is not installed; install {tool}")
    # Either program writes all it decoded before it complains about the size at the end.
    done = subprocess.run([tool, "-d", "-c"], input=data, capture_output=True)
    if not done.stdout:
        raise LabError(f"{tool} cannot decompress {what}: {done.stderr.decode().strip()}")
    return done.stdout


# --- initramfs --------------------------------------------------------------------------------

def _initramfs(cache, kernel, programs, say):
    files = {f"bin/{name}": path.read_bytes() for name, path in programs.items()}
    files["init"] = files.pop("bin/lab-init")
    for path in sorted((kernel / "modules").iterdir()):
        files[f"modules/{path.name}"] = path.read_bytes()
    digest = hashlib.sha256(b"layout %d" % LAYOUT)
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    out = cache / f"initramfs-{digest.hexdigest()[:16]}"
    if out.exists():
        return out
    say("packing the initramfs")
    archive = _cpio(files)
    if shutil.which("lz4"):
        # The kernel reads only lz4's legacy frame format.
        done = subprocess.run(["lz4", "-l", "-9", "-c"], input=archive, capture_output=True)
        if done.returncode:
            raise LabError(f"lz4 failed: {done.stderr.decode().strip()}")
        packed = done.stdout
    else:
        packed = gzip.compress(archive, 6, mtime=0)
    part = out.with_suffix(f".{os.getpid()}")
    part.write_bytes(packed)
    part.rename(out)
    return out


def _cpio(files):
    """A newc archive with fixed times, owners and inode numbers."""
    out = []
    inode = 0

    def entry(name, mode, data=b"", device=(0, 0)):
        nonlocal inode
        inode += 1
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        for part in (head, data):
            out.append(part + b"\0" * (-len(part) % 4))

    for folder in ("bin", "dev", "modules", "proc", "root", "run", "sys", "tmp"):
        entry(folder, stat.S_IFDIR | 0o755)
    entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    for name in sorted(files):
        entry(name, stat.S_IFREG | 0o755, files[name])
    entry("TRAILER!!!", 0)
    return b"".join(out)


def _publish(folder, target):
    """Moves a finished directory into the cache; whoever comes second keeps the first one's."""
    part = target.with_suffix(f".{os.getpid()}")
    shutil.copytree(folder, part)
    try:
        part.rename(target)
    except OSError:
        shutil.rmtree(part)
