#!/usr/bin/env python3
"""
memctl doctor on real guests under a real libvirt, and what becomes of them when its commands are
carried out: test_real_doctor.py BUILD_DIR. Prints TAP.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS_FOLDER / "tools"))
sys.path.insert(0, str(TESTS_FOLDER / "guests"))

import tap  # noqa: E402
from guestlab import Lab, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

BARE = "bare guest"


class Host:
    """A lab with a guest that lacks all that a guest can lack, and one that lacks nothing."""

    def __init__(self, lab, build):
        self.lab = lab
        self.memctl = Path(build).resolve() / "cli" / "memctl"
        self.good = lab.boot("good", memory="128M", stats_period=2, deflate_on_oom=True,
                             free_page_reporting=True)
        # What starts again has another description: so they are defined.
        self.bare = lab.boot(BARE, memory="128M", agent=False, persistent=True)
        self.none = lab.boot("none", memory="128M", balloon=False, agent=False, persistent=True)

    def doctor(self, *arguments, socket="/nowhere/socket"):
        done = subprocess.run([self.memctl, "--json", "--socket", socket, "doctor", *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done
        return json.loads(done.stdout)

    def findings(self, *arguments, **options):
        """By check and guest (None: the host)."""
        told = self.doctor("--connect", self.lab.uri, *arguments, **options)
        return {(f["check"], f["guest"]): f for f in told["findings"]}

    def fix(self, finding):
        done = subprocess.run(["bash", "-c", finding["fix"]], capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (finding["fix"], done)


def level(findings, check, guest=None):
    finding = findings.get((check, guest))
    return finding and finding["level"]


def finds_what_each_guest_lacks(host):
    found = host.findings()
    assert level(found, "libvirt") == "ok", found
    assert level(found, "memctld") == "problem", found
    for check in ("balloon", "statistics", "deflate-on-oom", "free-page-reporting"):
        assert level(found, check, "good") == "ok", (check, found)
    assert level(found, "balloon-driver", "good") == "ok", found
    for check, wanted in (("balloon", "ok"), ("statistics", "note"), ("agent", "note"),
                          ("deflate-on-oom", "warning"), ("free-page-reporting", "note")):
        assert level(found, check, BARE) == wanted, (check, found)
    assert level(found, "balloon", "none") == "warning", found
    assert level(found, "deflate-on-oom", "none") is None, found


def its_commands_mend_what_it_found(host):
    found = host.findings()
    for check in ("statistics", "agent"):
        host.fix(found[check, BARE])
    mended = host.findings()
    assert level(mended, "statistics", BARE) == "ok", mended
    assert "Nobody speaks" in mended["agent", BARE]["what"], mended
    for check in ("deflate-on-oom", "free-page-reporting"):
        assert ("virt-xml" in found[check, BARE]["fix"]) == bool(shutil.which("virt-xml"))
        host.fix(found[check, BARE])
    host.fix(found["balloon", "none"])
    mended = host.findings()
    for check in ("deflate-on-oom", "free-page-reporting"):
        assert "from its next start on" in mended[check, BARE]["what"], mended
    assert "from its next start on" in mended["balloon", "none"]["what"], mended
    xml = host.lab.virsh("dumpxml", "--inactive", BARE)
    assert "autodeflate='on'" in xml and "freePageReporting='on'" in xml, xml
    assert "memballoon model='virtio'" in host.lab.virsh("dumpxml", "--inactive", "none")


def commands_without_virt_xml_mend_as_well(host):
    """A copy of no files at all: a host that has no virt-xml."""
    for check, attribute in (("deflate-on-oom", "autodeflate"),
                             ("free-page-reporting", "freePageReporting")):
        host.lab.virsh("define", write_without(host, attribute))
        with tempfile.TemporaryDirectory() as root:
            found = host.findings("--root", root)
            fix = found[check, BARE]
            assert "virsh" in fix["fix"] and "EDITOR" in fix["fix"], fix
            host.fix(fix)
        xml = host.lab.virsh("dumpxml", "--inactive", BARE)
        assert f"{attribute}='on'" in xml, xml


def write_without(host, attribute):
    """The guest's description with this attribute of its balloon off; the file's name."""
    path = Path(host.lab.dir) / "edited.xml"
    path.write_text(host.lab.virsh("dumpxml", "--inactive", BARE)
                    .replace(f"{attribute}='on'", f"{attribute}='off'"))
    return str(path)


def asks_the_daemon_where_one_runs(host):
    with Memctld(host.memctl.parents[1], host.lab.uri, budget="1G") as memctld:
        wait_for("the agent", lambda: (memctld.guests().get("good") or {}).get("agent"))
        found = host.findings(socket=memctld.socket)
        assert level(found, "memctld") == "ok" and level(found, "connection") == "ok", found
        assert level(found, "agent", "good") == "ok", found
        # The daemon's own connection is found by itself, and foreign guests are not ours.
        told = host.doctor(socket=memctld.socket)
        libvirt = [f for f in told["findings"] if f["check"] == "libvirt"]
        assert host.lab.uri in libvirt[0]["what"], libvirt


def a_hung_guest_holds_nobody_up(host):
    host.bare.sigstop()
    try:
        found = host.findings()
        assert level(found, "memctld") == "problem", found
        assert level(found, "libvirt") == "ok", found
        assert level(found, "qemu", BARE) == "problem", found
        assert level(found, "qemu", "good") == level(found, "balloon", "good") == "ok", found
    finally:
        host.bare.sigcont()


TESTS = [
    finds_what_each_guest_lacks,
    its_commands_mend_what_it_found,
    commands_without_virt_xml_mend_as_well,
    asks_the_daemon_where_one_runs,
    a_hung_guest_holds_nobody_up,
]

if __name__ == "__main__":
    build_dir = sys.argv[1] if len(sys.argv) > 1 else "build"
    with contextlib.ExitStack() as stack:
        reason = why_not()
        host = None if reason else Host(stack.enter_context(Lab(build_dir)), build_dir)
        tap.run(TESTS, host, skip=reason)
