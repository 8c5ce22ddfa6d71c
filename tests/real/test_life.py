#!/usr/bin/env python3
"""
What can happen to a guest in its life, under a memctld that manages it: test_life.py BUILD_DIR
[TEST...]. Prints TAP. Migration is in test_real_guests.py and the second half of this one's list;
guests with huge pages, memfd, locked memory and VFIO are told by their XML, which unit tests read.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import BY_SHARES, STRICT, Memctld, wait_for  # noqa: E402

CYCLES, WORKERS = 200, 4


class World:
    """Two guests: `rock` is there all the time, `life` is what things happen to."""

    def __init__(self, build):
        self.build = build
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(build))
            self.rock = self.lab.boot("rock", memory="512M")
            self.life = self.lab.boot("life", memory="512M", persistent=True, **self.disk())
            self.memctld = stack.enter_context(Memctld(
                build, self.lab.uri, budget="1100M", interval="1s",
                config=STRICT + BY_SHARES + "[guests]\nmin = 128M\n"))
            self.at_rest()
            self.parts = stack.pop_all()

    def disk(self):
        """Something to keep snapshots in."""
        if not shutil.which("qemu-img"):
            return {}
        path = self.lab.dir / "life.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1G"], check=True)
        return {"extra_xml": f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/>"
                             "<target dev='vda' bus='virtio'/></disk>"}

    def close(self):
        self.parts.close()

    def seen(self, name="life"):
        return self.memctld.guests().get(name, {"exempt": "gone", "actual": 0, "fresh": False})

    def at_rest(self, *names):
        """These guests, `life` and `rock` unless said otherwise, are managed and have their parts."""
        names = names or ("life", "rock")

        def there():
            guests = self.memctld.guests()
            return all(name in guests and guests[name]["exempt"] == "no" and guests[name]["fresh"]
                       and guests[name]["plan"]
                       and abs(guests[name]["actual"] - guests[name]["plan"]["wish"]) <= 8 * MiB
                       and not guests[name]["plan"]["sent"] for name in names)
        return settled(self, f"rest of {', '.join(names)}", there, 60)[1]

    def restore(self):
        for suspect in self.lab.running():
            if suspect.name not in ("rock", "life"):
                suspect.destroy()
        if self.life.state() == "paused":
            self.life.resume()
        elif self.life.state() != "running":
            self.life.start()
        self.at_rest()


def settled(world, what, condition, timeout=30):
    """As wait_for(), and says what memctld did if it is in vain."""
    try:
        return wait_for(what, condition, timeout)
    except AssertionError as error:
        state = world.memctld.run("list").stdout + world.memctld.run("events").stdout[-2500:]
        raise AssertionError(f"{error}:\n{state}") from None


def shares_alike(world):
    """Both have the same shares and the same memory. How much that is changes with what their
    QEMUs take themselves, which differs between one that booted and one that was restored."""
    settled(world, "equal parts", lambda: abs(
        world.seen()["actual"] - world.seen("rock")["actual"]) <= 16 * MiB)


def note(text):
    print(f"# {text}", flush=True)


def a_guest_that_starts_and_stops(world):
    alone = world.seen("rock")["actual"]
    world.life.shutdown()
    settled(world, "it to be gone", lambda: world.seen()["exempt"] == "gone")
    settled(world, "rock to have more", lambda: world.seen("rock")["actual"] > alone + 32 * MiB, 30)
    world.life.start()
    note(f"its part {world.at_rest():.1f} s after it was up again")
    shares_alike(world)


def one_that_crashes(world):
    os.kill(world.life.pid, signal.SIGSEGV)
    settled(world, "it to be gone", lambda: world.seen()["exempt"] == "gone")
    world.at_rest("rock")
    world.life.start()
    world.at_rest()


def one_that_reboots(world):
    """Its balloon is empty at first: that is no foreign hand, and what it had it gets again."""
    world.life.reboot()
    world.at_rest()
    shares_alike(world)
    kinds = world.memctld.run("events").stdout
    assert "foreign" not in kinds, kinds


def one_that_is_paused(world):
    world.life.suspend()
    settled(world, "its exemption", lambda: world.seen()["exempt"] == "not-running")
    before = world.life.actual()
    world.memctld.json("set", "life", "shares=3000")
    time.sleep(4)
    assert world.life.actual() == before
    world.life.resume()
    settled(world, "more", lambda: world.seen()["actual"] > before + 16 * MiB, 30)
    world.memctld.json("set", "life", "shares=")
    world.at_rest()


def one_that_is_saved_and_restored(world):
    path = world.lab.dir / "life.save"
    world.lab.virsh("save", "life", path)
    settled(world, "it to be gone", lambda: world.seen()["exempt"] == "gone")
    world.lab.virsh("restore", path)
    path.unlink()
    world.at_rest()
    shares_alike(world)


def one_that_goes_back_to_a_snapshot(world):
    if not shutil.which("qemu-img"):
        note("no qemu-img, so no snapshots")
        return
    world.lab.virsh("snapshot-create-as", "life", "s1")
    world.at_rest()
    world.memctld.json("set", "life", "max=200M")
    settled(world, "less", lambda: world.seen()["actual"] <= 204 * MiB, 30)
    world.lab.virsh("snapshot-revert", "life", "s1")
    world.life.hog.ping()
    world.memctld.json("set", "life", "max=")
    world.at_rest()
    world.lab.virsh("snapshot-delete", "life", "s1")
    assert world.life.hog.stats()["vmstat"]["oom_kill"] == 0


def one_that_gets_another_name(world):
    world.memctld.json("set", "life", "shares=1500")
    world.life.shutdown()
    world.lab.virsh("domrename", "life", "afterlife")
    world.lab.virsh("start", "afterlife")
    settled(world, "it under its new name", lambda: world.seen("afterlife").get("shares") == 1500)
    assert "life" not in world.memctld.guests()
    world.lab.virsh("destroy", "afterlife")
    world.lab.virsh("domrename", "afterlife", "life")
    world.life.start()
    world.memctld.json("set", "life", "shares=")
    world.at_rest()


def one_whose_definition_is_removed_while_it_runs(world):
    xml = world.lab.dir / "life.definition"
    xml.write_text(world.life.xml(inactive=True))
    world.life.undefine()
    world.memctld.json("set", "life", "shares=2000")
    settled(world, "its shares", lambda: world.seen()["shares"] == 2000)
    world.at_rest()
    world.lab.virsh("define", xml)
    world.memctld.json("set", "life", "shares=")
    world.at_rest()


def one_whose_statistics_are_turned_off(world):
    world.life.stats_period(0)
    # within a minute its description is read again
    settled(world, "statistics", lambda: "<stats period='1'/>" in world.life.xml(), 90)
    world.at_rest()


def one_without_a_driver(world):
    """Nothing is known of it, so nothing is taken from it; it counts with all it may take."""
    bare = world.lab.bare("bare", "64M")
    settled(world, "bare", lambda: world.seen("bare")["exempt"] == "no")
    time.sleep(4)
    seen = world.seen("bare")
    assert not seen["fresh"] and seen["actual"] == seen["plan"]["target"] == 64 * MiB, seen
    world.at_rest()
    bare.destroy()


def one_with_memory_that_is_plugged_in(world):
    """What is plugged in by virtio-mem counts as memory of the guest's, and does it no harm."""
    guest = world.lab.boot("plug", memory="256M", virtio_mem="256M")
    settled(world, "plug", lambda: world.seen("plug")["exempt"] == "no" and world.seen("plug")["fresh"])
    world.lab.virsh("update-memory-device", "plug", "--requested-size", "128M", "--live")
    settled(world, "more", lambda: world.seen("plug")["actual"] > 300 * MiB)
    time.sleep(5)
    seen, stats = world.seen("plug"), guest.hog.stats()
    note(f"256M, 256M pluggable, 128M plugged: memory {seen['memory'] // MiB}M, actual "
         f"{seen['actual'] // MiB}M, used {(seen['used'] or 0) // MiB}M, {seen['plan']['reason']}; the "
         f"guest has {stats['meminfo']['MemTotal'] // MiB}M")
    assert stats["vmstat"]["oom_kill"] == 0 and seen["actual"] <= seen["memory"]
    assert seen["memory"] == 384 * MiB and seen["plan"]["reason"] != "foreign-hand", seen
    world.memctld.json("set", "plug", "max=220M")
    settled(world, "less", lambda: world.seen("plug")["actual"] <= 224 * MiB)
    time.sleep(3)
    seen = world.seen("plug")
    assert seen["actual"] <= 224 * MiB and seen["plan"]["reason"] not in ("foreign-hand", "stuck"), seen
    assert abs(guest.actual() + 128 * MiB - seen["actual"]) <= 4 * MiB, guest.balloon_stats()
    guest.destroy()
    world.at_rest()


def one_on_memfd(world):
    guest = world.lab.boot("shared", memory="256M", memory_backing="memfd")
    settled(world, "shared", lambda: world.seen("shared")["exempt"] == "no")
    world.memctld.json("set", "shared", "max=160M")
    world.at_rest("shared", "life", "rock")
    assert world.seen("shared")["actual"] <= 164 * MiB
    guest.destroy()
    world.at_rest()


def one_that_migrates_out_and_in(world):
    """To a second libvirtd with its own memctld, and back."""
    if shutil.which("qemu-img"):
        world.life.virsh("detach-disk", "life", "vda", "--live")
    with Lab(world.build) as other, Memctld(
            world.build, other.uri, budget="2G", interval="1s",
            config=STRICT + "[guests]\nmin = 128M\n") as memctld:
        migrate(world.lab, other, "life")
        settled(world, "it to be gone", lambda: world.seen()["exempt"] == "gone")
        settled(world, "it to come", lambda: memctld.guests().get("life", {}).get("exempt") == "no", 40)
        settled(world, "all its memory", lambda: memctld.guests()["life"]["actual"] >= 508 * MiB, 40)
        migrate(other, world.lab, "life")
        settled(world, "it to come back", lambda: world.seen()["exempt"] == "no", 40)
        world.at_rest()
    shares_alike(world)
    assert world.life.hog.stats()["vmstat"]["oom_kill"] == 0


def migrate(source, target, name):
    (target.dir / "channel" / name).mkdir(parents=True, exist_ok=True)
    xml = target.dir / f"{name}.xml"
    xml.write_text(source.virsh("dumpxml", "--migratable", name).replace(
        f"{source.dir}/", f"{target.dir}/"))
    source.virsh("migrate", "--live", "--p2p", "--xml", xml, name, target.uri, "--migrateuri",
                 f"unix://{target.dir}/migration.sock")


def two_hundred_that_come_and_go_leave_nothing(world):
    cycle(world, 24)  # so that whatever is kept once is there
    before = world.memctld.footprint()
    began = time.monotonic()
    cycle(world, CYCLES)
    took = time.monotonic() - began
    settled(world, "the last to be gone", lambda: len(world.memctld.guests()) == 2)
    after, _ = settled(world, "its descriptors to be closed", lambda: close_to(
        before, world.memctld.footprint()), 90)
    note(f"{CYCLES} guests in {took:.0f} s: {before} -> {after}")
    seen = int(re.search(r"memctl_ticks_total (\d+)", world.memctld.metrics())[1])
    assert seen > 0
    world.at_rest()


def cycle(world, count):
    xml = world.lab.dir / "come.xml"
    world.lab.bare("come", start=False)
    text = xml.read_text()

    def work(worker):
        mine = world.lab.dir / f"come{worker}.xml"
        for i in range(count // WORKERS):
            name = f"come{worker}-{i}"
            mine.write_text(re.sub(r"<uuid>.*?</uuid>", "", text).replace(
                "<name>come</name>", f"<name>{name}</name>"))
            world.lab.virsh(f"create {mine}; destroy {name}")

    workers = [threading.Thread(target=work, args=(i,)) for i in range(WORKERS)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()


def close_to(before, after):
    """What is kept of guests that were there for a moment goes within seconds."""
    good = (after["descriptors"] <= before["descriptors"] + 6 and
            after["threads"] <= before["threads"] + 2 and
            after["memory"] <= before["memory"] + MiB)
    return after if good else None


TESTS = [
    a_guest_that_starts_and_stops,
    one_that_crashes,
    one_that_reboots,
    one_that_is_paused,
    one_that_is_saved_and_restored,
    one_that_goes_back_to_a_snapshot,
    one_that_gets_another_name,
    one_whose_definition_is_removed_while_it_runs,
    one_whose_statistics_are_turned_off,
    one_without_a_driver,
    one_with_memory_that_is_plugged_in,
    one_on_memfd,
    two_hundred_that_come_and_go_leave_nothing,
    one_that_migrates_out_and_in,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())
