"""KVM or emulation: /dev/kvm may exist and still not run a kernel, so a guest is booted to see."""

import os
import subprocess
from pathlib import Path

from .domain import COMMAND_LINE, emulator
from .errors import LabError

TIME_LIMIT = 6  # where KVM works, the guest needs less than one


def choose(image, cache, say):
    """libvirt's domain type, "kvm" or "qemu"; MEMCTL_LAB_ACCEL=kvm|tcg decides instead."""
    wish = os.environ.get("MEMCTL_LAB_ACCEL")
    if wish:
        if wish not in ("kvm", "tcg"):
            raise LabError(f"MEMCTL_LAB_ACCEL is '{wish}'; write kvm or tcg")
        return "kvm" if wish == "kvm" else "qemu"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = cache / "accel"
    if note.exists() and note.read_text().split()[:1] == [boot]:
        return note.read_text().split()[1]
    say("trying whether a guest boots with KVM")
    verdict = "kvm" if _boots(image, "kvm", "host", TIME_LIMIT) else "qemu"
    part = cache / f".accel.{os.getpid()}"
    part.write_text(f"{boot} {verdict}\n")
    part.replace(note)
    return verdict


def _boots(image, accelerator, cpu, limit):
    command = [emulator(), "-accel", accelerator, "-cpu", cpu, "-M", "pc", "-m", "128",
               "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-kernel", str(image.kernel), "-initrd", str(image.initrd),
               "-append", COMMAND_LINE + " lab.probe"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=limit)
    except subprocess.TimeoutExpired:
        return False
    return b"lab-init: up" in done.stdout
