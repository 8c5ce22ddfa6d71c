"""A guest's libvirt XML, and the edit of a saved image that turns one guest into another."""

import os
import re
import struct
import uuid
from xml.sax.saxutils import escape

from .errors import LabError
from .sizes import KiB, MiB, parse_size

LAB_PORT = "org.memctl.lab.0"
AGENT_PORT = "org.memctl.guest.0"

COMMAND_LINE = ("console=ttyS0 quiet panic=3 mitigations=off nokaslr tsc=reliable no_timer_check "
                "cryptomgr.notests random.trust_cpu=on memhp_default_state=online_movable")


def domain_xml(name, folder, image, accel, *, memory="512M", current=None, vcpus=1, machine="pc",
               balloon=True, deflate_on_oom=False, free_page_reporting=False, stats_period=None,
               agent=True, channels=(), memory_backing=None, virtio_mem=None, metadata_xml=None,
               cmdline="", extra_xml="", top_xml=""):
    """
    memory          what the guest boots with; current: the balloon's first target
    memory_backing  None (private anonymous), "memfd" or "hugepages"
    virtio_mem      size of a virtio-mem device, nothing of it plugged at first
    agent           adds the agent's channel; the agent itself is part of the image, and
                    cmdline="lab.agent=--cost,5" gives it arguments
    channels        names of further virtio-serial ports
    extra_xml       goes into <devices>, top_xml into <domain>
    """
    size = parse_size(memory)
    if size < 96 * MiB:
        raise LabError(f"guest '{name}': memory {memory} is too small, the kernel does not boot in "
                       "less than 96M")
    boot_kib = size // KiB
    total_kib = boot_kib
    cpu = ""
    devices = []
    if virtio_mem:
        plug_kib = parse_size(virtio_mem) // KiB
        total_kib += plug_kib
        top_xml += (f"<maxMemory slots='4' unit='KiB'>{total_kib}</maxMemory>")
        cpu = (f"<numa><cell id='0' cpus='0-{vcpus - 1}' memory='{boot_kib}' unit='KiB'/></numa>")
        devices.append(f"<memory model='virtio-mem'><target><size unit='KiB'>{plug_kib}</size>"
                       "<node>0</node><block unit='KiB'>2048</block>"
                       "<requested unit='KiB'>0</requested></target></memory>")
    current_kib = parse_size(current) // KiB if current else boot_kib
    backing = {
        None: "",
        "memfd": "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
        "hugepages": "<memoryBacking><hugepages/></memoryBacking>",
    }[memory_backing]
    ports = [LAB_PORT, *([AGENT_PORT] if agent else []), *channels]
    for port in ports:
        # An explicit path under the lab's directory: the same inside and outside its namespace.
        devices.append(f"<channel type='unix'><source mode='bind' "
                       f"path='{folder}/channel/{name}/{port}'/>"
                       f"<target type='virtio' name='{port}'/></channel>")
    if balloon:
        period = f"<stats period='{stats_period}'/>" if stats_period is not None else ""
        devices.append(f"<memballoon model='virtio' autodeflate='{_on(deflate_on_oom)}' "
                       f"freePageReporting='{_on(free_page_reporting)}'>{period}</memballoon>")
    else:
        devices.append("<memballoon model='none'/>")
    devices.append(f"<serial type='file'><source path='{folder}/log/console-{name}.log'/>"
                   "<target port='0'/></serial>")
    # Without a bound QEMU's cache of translated code outgrows a small guest.
    tcg = "<tcg><tb-cache unit='MiB'>32</tb-cache></tcg>" if accel == "qemu" else ""
    mode = "host-passthrough" if accel == "kvm" else "custom"
    model = "" if accel == "kvm" else "<model>qemu64</model>"
    cpu_xml = f"<cpu mode='{mode}'>{model}{cpu}</cpu>" if cpu or accel == "kvm" else ""
    metadata = f"<metadata>{metadata_xml}</metadata>" if metadata_xml else ""
    return f"""\
<domain type='{accel}'>
  <name>{escape(name)}</name>
  <uuid>{uuid.uuid4()}</uuid>
  {metadata}
  <memory unit='KiB'>{total_kib}</memory>
  <currentMemory unit='KiB'>{current_kib}</currentMemory>
  {top_xml}
  {backing}
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{image.kernel}</kernel>
    <initrd>{image.initrd}</initrd>
    <cmdline>{escape((COMMAND_LINE + " " + cmdline).strip())}</cmdline>
  </os>
  <features><acpi/>{tcg}</features>
  {cpu_xml}
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{emulator()}</emulator>
    <controller type='usb' model='none'/>
    {"".join(devices)}
    {extra_xml}
  </devices>
</domain>
"""


def bare_xml(name, accel, memory="32M"):
    """A machine with a balloon and nothing to boot: enough of a guest for libvirt, and cheap."""
    return f"""\
<domain type='{accel}'>
  <name>{escape(name)}</name>
  <uuid>{uuid.uuid4()}</uuid>
  <memory unit='KiB'>{parse_size(memory) // KiB}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator()}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""


def _on(flag):
    return "on" if flag else "off"


def emulator():
    for path in ("/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm"):
        if os.path.exists(path):
            return path
    raise LabError("no QEMU on this machine; install qemu-system-x86 "
                   "(Fedora: qemu-system-x86-core)")


# struct _virQEMUSaveHeader: magic, version, length of the data, was running, compressed, offset
# of the cookie in the data, 14 unused words. The data is the XML, the cookie, and zeros that pad
# header and data to whole blocks, since QEMU's own stream follows.
_HEADER = struct.Struct("<16s5I14I")


def edit_saved_image(path, folder, old, new, metadata_xml=None):
    """Renames the guest of a saved image in place and gives it a new UUID."""
    with open(path, "r+b") as f:
        raw = f.read(_HEADER.size)
        fields = list(_HEADER.unpack(raw))
        if fields[0] != b"LibvirtQemudSave":
            raise LabError(f"'{path}' is not an image that libvirt saved")
        size, cookie_at = fields[2], fields[5]
        data = f.read(size)
        xml = data[:data.index(b"\0")].decode()
        cookie = data[cookie_at:].split(b"\0", 1)[0] if cookie_at else b""
        xml = rename(xml, folder, old, new, metadata_xml)
        start = xml.encode() + b"\0"
        fresh = start + (cookie + b"\0" if cookie_at else b"")
        if len(fresh) > size:
            raise LabError(f"the saved image of '{old}' has no room for the name '{new}': "
                           f"{len(fresh) - size} bytes too many; choose a shorter name or metadata")
        fields[5] = len(start) if cookie_at else 0
        f.seek(0)
        f.write(_HEADER.pack(*fields) + fresh.ljust(size, b"\0"))


def rename(xml, folder, old, new, metadata_xml=None):
    xml = re.sub(r"<uuid>[^<]*</uuid>", f"<uuid>{uuid.uuid4()}</uuid>", xml, count=1)
    xml = xml.replace(f"<name>{old}</name>", f"<name>{new}</name>", 1)
    xml = xml.replace(f"{folder}/channel/{old}/", f"{folder}/channel/{new}/")
    xml = xml.replace(f"{folder}/log/console-{old}.log", f"{folder}/log/console-{new}.log")
    if metadata_xml is not None:
        xml = re.sub(r"\s*<metadata>.*?</metadata>", "", xml, count=1, flags=re.S)
        xml = xml.replace("</uuid>", f"</uuid><metadata>{metadata_xml}</metadata>", 1)
    return xml
