#!/usr/bin/env python3
"""Tests of the lab itself, with real guests: selftest.py [BUILD_DIR]. Prints TAP.

They come in an order that needs few boots; each is a statement about what the lab does.
"""

import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from guestlab.guest import wait_for  # noqa: E402

LAB = str(Path(__file__).with_name("lab"))


def processes_of(folder):
    """Processes whose command line or mounts name the lab's directory, without zombies."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path("/proc", name, "cmdline").read_bytes()
            mounts = Path("/proc", name, "mountinfo").read_bytes()
        except OSError:
            continue
        if int(name) != os.getpid() and (str(folder).encode() in line
                                         or str(folder).encode() in mounts):
            found.append(int(name))
    return found


def assert_nothing_left(folder, timeout=20):
    def gone():
        return not os.path.exists(folder) and not processes_of(folder)

    try:
        wait_for("the end", gone, timeout)
    except LabError:
        raise AssertionError(f"left of {folder}: files {os.path.exists(folder)}, processes "
                             f"{processes_of(folder)}") from None
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    for path in ("/run", "/var/lib", "/var/cache", "/var/log", "/etc"):
        assert os.path.isdir(f"{path}/libvirt") == EXISTED[path], f"{path}/libvirt changed"


EXISTED = {path: os.path.isdir(f"{path}/libvirt")
           for path in ("/run", "/var/lib", "/var/cache", "/var/log", "/etc")}


# --- one lab for all of these -----------------------------------------------------------------

def boots_two_guests_side_by_side(lab):
    a, b = lab.boot_many(["web1", "web2"], memory="256M", stats_period=1)
    assert a.state() == b.state() == "running"
    assert sorted(g.name for g in lab.running()) == ["web1", "web2"]
    assert Path(f"/proc/{a.pid}/exe").resolve().name.startswith("qemu")
    assert a.hog.stats()["meminfo"]["MemTotal"] < 256 * MiB


def hog_holds_touches_and_frees_memory(lab):
    hog = lab.guest("web1").hog
    assert hog.alloc("60M") == 60 * MiB
    assert hog.alloc("10M", "zero") == 70 * MiB
    assert hog.alloc("10M", "pool") == 80 * MiB
    hog.hot("20M", period_ms=20)
    time.sleep(0.5)
    load = hog.stats()["load"]
    assert load["hot"] == 20 * MiB and load["passes"] > 2, load
    assert hog.free("30M") == 50 * MiB
    hog.fill("10M", mib_per_s=100)
    wait_for("fill", lambda: hog.stats()["load"]["held"] == 60 * MiB, 10)
    assert hog.free() == 0


def hog_reports_its_own_oom_kill_and_lives(lab):
    hog = lab.guest("web2").hog
    try:
        hog.alloc("600M")
        raise AssertionError("600M fit into a guest of 256M")
    except LabError as e:
        assert "killed" in str(e), e
    stats = hog.stats()
    assert stats["vmstat"]["oom_kill"] >= 1 and stats["load"]["kills"] == 1
    assert hog.alloc("5M") == 5 * MiB


def hog_makes_swap_and_page_cache(lab):
    hog = lab.guest("web2").hog
    hog.zram("64M")
    assert hog.stats()["meminfo"]["SwapTotal"] > 63 * MiB
    hog.cache("32M", period_ms=50)
    wait_for("cache", lambda: hog.stats()["meminfo"]["Buffers"] >= 32 * MiB, 10)
    hog.cache(0)


def hog_runs_commands(lab):
    assert lab.guest("web2").hog.run("echo 'a \"b\"'; cat /proc/1/comm") == 'a "b"\ninit\n'


def balloon_gives_memory_to_the_host(lab):
    guest = lab.guest("web1")
    guest.hog.alloc("120M")
    guest.hog.free()
    before = guest.rss()
    guest.set_memory("128M")
    guest.wait_actual("128M")
    wait_for("resident size", lambda: guest.rss() < before - 60 * MiB, 10)
    guest.set_memory("256M")
    guest.wait_actual("256M")


def clone_has_the_memory_and_another_name(lab):
    guest = lab.guest("web1")
    guest.hog.alloc("20M")
    one, two = lab.clone(guest, ["web3", "a-much-longer-name"])
    assert len({guest.uuid, one.uuid, two.uuid}) == 3
    assert "web1" not in two.xml()
    for each in (guest, one, two):
        assert each.hog.stats()["load"]["held"] == 20 * MiB
    two.destroy()


def guests_outlive_libvirtd(lab):
    pid = lab.guest("web3").pid
    lab.kill_libvirtd()
    assert lab.guest("web3").hog.ping()
    lab.start_libvirtd()
    lab.restart_libvirtd()
    assert lab.guest("web3").pid == pid and lab.guest("web3").actual() == 256 * MiB


def a_stopped_guest_does_not_answer_and_comes_back(lab):
    guest = lab.guest("web3")
    for stop, go in ((guest.suspend, guest.resume), (guest.sigstop, guest.sigcont)):
        stop()
        try:
            guest.hog.ping(timeout=0.5)
            raise AssertionError("a stopped guest answered")
        except LabError:
            pass
        go()
        assert guest.hog.ping()


def reboot_and_shutdown(lab):
    guest = lab.guest("web3")
    guest.reboot()
    assert guest.hog.stats()["load"]["held"] == 0
    guest.shutdown()
    assert guest.state() == "gone"


# --- the end in all its forms -----------------------------------------------------------------

OWNER = """
import sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, {package!r})
from guestlab import Lab
lab = Lab({build!r})
guest = lab.boot("victim", memory="128M", wait=False)
print(lab.dir, flush=True)
time.sleep(600)
"""


def start_owner(build):
    code = OWNER.format(package=str(Path(__file__).resolve().parent), build=build)
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    folder = owner.stdout.readline().strip()
    assert os.path.isdir(folder) and len(processes_of(folder)) >= 4, folder
    return owner, folder


def nothing_is_left_when_the_owner_is_killed(build):
    owner, folder = start_owner(build)
    owner.kill()
    owner.wait()
    assert_nothing_left(folder)


def nothing_is_left_after_ctrl_c(build):
    owner, folder = start_owner(build)
    owner.send_signal(signal.SIGINT)
    owner.wait()
    assert_nothing_left(folder)


def nothing_is_left_when_guard_or_worker_is_killed(build):
    for which in (0, 1):
        owner, folder = start_owner(build)
        keepers = [p for p in processes_of(folder)
                   if b"supervisor.py" in Path(f"/proc/{p}/cmdline").read_bytes()]
        assert len(keepers) == 2, keepers
        os.kill(sorted(keepers)[which], signal.SIGKILL)
        try:
            assert_nothing_left(folder)
        finally:
            owner.kill()
            owner.wait()


def a_hung_guest_is_no_obstacle(build):
    with Lab(build) as lab:
        lab.boot("hung", memory="128M", wait=False).sigstop()
        folder = lab.dir
    assert_nothing_left(folder)


def command_line_works_from_up_to_down(build):
    folder = f"/tmp/memctl-lab-selftest-{os.getpid()}"

    def lab(*args):
        verb, *rest = args
        done = subprocess.run([LAB, verb, "--dir", folder, *rest], capture_output=True, text=True)
        assert done.returncode == 0, f"lab {args}: {done.stderr}"
        return done.stdout

    try:
        uri = lab("up", "--build", build, "--memory", "128M", "db1").strip()
        assert uri == lab("uri").strip()
        assert '"held": 10485760' in lab("hog", "db1", "alloc", "10M", "pool")
        lab("clone", "db1", "db2")
        assert re.search(r"db2 +running +\d+ +128 +\d+ +10", lab("status"))
        assert "db1" in lab("virsh", "list")
        wrong = subprocess.run([LAB, "up", "--dir", folder], capture_output=True, text=True)
        assert wrong.returncode == 1 and "a lab runs in" in wrong.stderr
    finally:
        lab("down")
    assert_nothing_left(folder)


SHARED = [
    boots_two_guests_side_by_side,
    hog_holds_touches_and_frees_memory,
    hog_reports_its_own_oom_kill_and_lives,
    hog_makes_swap_and_page_cache,
    hog_runs_commands,
    balloon_gives_memory_to_the_host,
    clone_has_the_memory_and_another_name,
    guests_outlive_libvirtd,
    a_stopped_guest_does_not_answer_and_comes_back,
    reboot_and_shutdown,
]
OWN = [
    nothing_is_left_when_the_owner_is_killed,
    nothing_is_left_after_ctrl_c,
    nothing_is_left_when_guard_or_worker_is_killed,
    a_hung_guest_is_no_obstacle,
    command_line_works_from_up_to_down,
]


def main():
    build = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
    if why_not():
        print(f"1..0 # SKIP {why_not()}")
        return 0
    print(f"1..{len(SHARED) + len(OWN) + 1}", flush=True)
    failed = 0
    number = 0

    def run(test, argument):
        nonlocal failed, number
        number += 1
        start = time.monotonic()
        try:
            test(argument)
            word = "ok"
        except Exception:
            failed += 1
            word = "not ok"
            print("# " + traceback.format_exc().replace("\n", "\n# "))
        print(f"{word} {number} - {test.__name__} # {time.monotonic() - start:.1f} s", flush=True)

    def nothing_is_left_after_down(lab):
        lab.down()
        assert_nothing_left(lab.dir)

    try:
        with Lab(build, say=lambda text: print(f"# {text}", flush=True)) as lab:
            for test in SHARED:
                run(test, lab)
            run(nothing_is_left_after_down, lab)
    except LabError as e:
        print(f"Bail out! {e}")
        return 1
    for test in OWN:
        run(test, build)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
