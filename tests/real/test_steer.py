#!/usr/bin/env python3
"""
memctld steers the kernel's page merging on real guests: what the scanner promised before is merged,
nobody else is, whatever happens to the guests, and everything is put back.
test_steer.py BUILD_DIR. Prints TAP.
"""

import contextlib
import json
import os
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
from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

KSM = Path("/sys/kernel/mm/ksm")
KNOBS = ("advisor_mode", "advisor_max_cpu", "advisor_min_pages_to_scan",
         "advisor_max_pages_to_scan", "advisor_target_scan_time", "pages_to_scan",
         "sleep_millisecs", "smart_scan", "use_zero_pages", "run")
# The host has memory enough, and would not merge anything: so it is told to do with little.
CONFIG = """[budget]
budget = 256M
[governor]
host-reclaim = no
[dedupe]
mode = scan
cpu = 50%
cpu-when-short = 50%
interval = 1s
[guests]
trust-domain = lab
min = 100%
"""
ALONE = "<memoryBacking><nosharepages/></memoryBacking>"


def metadata(settings):
    return f"<m:guest xmlns:m='https://memctl.org/xmlns/guest/1.0' {settings}/>"


def note(text):
    print(f"# {text}", flush=True)


def read(name):
    return (KSM / name).read_text().strip()


def ksm_stat(guest):
    lines = Path(f"/proc/{guest.pid}/ksm_stat").read_text().splitlines()
    return {line.split()[0].rstrip(":"): line.split()[1] for line in lines}


def marks(guest):
    """Sizes of the mappings that KSM may look at, and what is merged in all mappings."""
    sizes, merged, size = [], 0, 0
    for line in Path(f"/proc/{guest.pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(x, 16) for x in words[0].split("-"))
            size = end - start
        elif words[0] == "KSM:":
            merged += int(words[1]) * 1024
        elif words[0] == "VmFlags:" and "mg" in words:
            sizes.append(size)
    return sizes, merged


class Watch:
    """Who is mergeable while ksmd runs, looked at all the time: what must never be seen is kept."""

    def __init__(self, guests, domain_of):
        self.guests, self.domain_of = guests, domain_of
        self.looks, self.broken = 0, []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.end.wait(0.1):
            runs = read("run")
            seen = set()
            for name, guest in self.guests.items():
                with contextlib.suppress(OSError, IndexError, ValueError, LabError):  # it starts or ends
                    if marks(guest)[0]:
                        seen.add(self.domain_of[name])
            self.looks += 1
            if runs == read("run") == "1" and (len(seen) > 1 or "nobody" in seen):
                self.broken.append(seen)

    def stop(self):
        self.end.set()
        self.thread.join()


class World:
    def __init__(self, build):
        self.build = build
        self.knobs = {name: (KSM / name).read_text() for name in KNOBS if (KSM / name).exists()}
        with contextlib.ExitStack() as stack:
            stack.callback(self.reset_ksm)
            # What KSM counts of processes that are gone, it counts no more.
            (KSM / "run").write_text("2")
            (KSM / "run").write_text(self.knobs["run"])
            self.lab = stack.enter_context(Lab(build))
            self.guests = {"a": self.lab.boot("a", memory="192M", top_xml=ALONE, wait=False,
                                              virtio_mem="128M"),
                           "b": self.lab.boot("b", memory="192M", top_xml=ALONE, wait=False),
                           "off": self.lab.boot("off", memory="128M", top_xml=ALONE, wait=False,
                                                metadata_xml=metadata("dedupe='no'")),
                           "other": self.lab.boot("other", memory="128M", top_xml=ALONE,
                                                  metadata_xml=metadata("trust-domain='other'"))}
            for guest in self.guests.values():
                guest.hog.ping()
            for name in ("off", "other"):  # as somebody might have left them
                self.merge(name, True)
            for name in "ab":
                self.guests[name].hog.alloc(24 * MiB, "pool")
            self.before = self.state()
            self.watch = Watch(self.guests, {"a": "lab", "b": "lab", "other": "other",
                                             "off": "nobody"})
            stack.callback(self.watch.stop)
            self.memctld = stack.enter_context(Memctld(build, self.lab.uri, config=CONFIG))
            self.parts = stack.pop_all()

    def reset_ksm(self):
        (KSM / "run").write_text("2")
        for name, value in self.knobs.items():
            if name != "advisor_mode" and name != "pages_to_scan":
                (KSM / name).write_text(value)
        if "advisor_mode" in self.knobs:
            (KSM / "advisor_mode").write_text(self.knobs["advisor_mode"].split("[")[1].split("]")[0])
        if read("advisor_mode").startswith("[none]"):
            (KSM / "pages_to_scan").write_text(self.knobs["pages_to_scan"])

    def close(self):
        self.parts.close()

    def merge(self, name, value):
        self.lab.virsh("qemu-monitor-command", name, json.dumps(
            {"execute": "qom-set", "arguments": {"path": "/objects/pc.ram", "property": "merge",
                                                 "value": value}}))

    def asked(self, name):
        answer = json.loads(self.lab.virsh("qemu-monitor-command", name,
                                           json.dumps({"execute": "query-memdev"})))
        return {item["id"]: item["merge"] for item in answer["return"]}

    def is_off(self, name):
        return not any(self.asked(name).values()) and not marks(self.guests[name])[0]

    def state(self):
        """All that memctld may change, as it is now."""
        return {"knobs": {name: read(name) for name in self.knobs},
                "guests": {name: (self.asked(name), marks(guest)[0])
                           for name, guest in self.guests.items()}}

    def report(self):
        return self.memctld.json("dedupe")["report"]

    def promise(self):
        """What merging the domain's guests saves by the scanner, when it has read all of them."""
        def passed():
            report = self.report()
            return report and {g["name"] for g in report["guests"] if g["passes"] >= 2} >= {
                "a", "b", "other"} and report

        report = wait_for("passes", passed, 120)[0]
        domain = next(domain for domain in report["domains"] if domain["name"] == "lab")
        return domain["saving"] + domain["zero"]

    def configure(self, more="", mode="merge"):
        text = CONFIG.replace("mode = scan", f"mode = {mode}")
        self.memctld.config.write_text(text + more)
        self.memctld.json("reload")

    def merging(self):
        return self.memctld.json("dedupe")["merging"]

    def by_name(self):
        return {guest["name"]: guest for guest in self.merging()["guests"]}

    def all_mergeable(self, *names):
        guests = self.by_name()
        return all(guests[name]["reason"] == "pays" and guests[name]["ram"] and
                   guests[name]["mergeable"] == guests[name]["ram"] for name in names)

    def wait_for_ksmd(self, *names):
        wait_for("ksmd to go on", lambda: read("run") == "1" and self.all_mergeable(*names), 120)


def share_of_memory(world):
    """
    Of the guests' RAM, what is theirs: a page that several mappings share is divided among them, so
    what this falls by is what was saved, by merging and by pages that are there no more.
    """
    def of(guest):
        size = total = 0
        for line in Path(f"/proc/{guest.pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                start, end = (int(x, 16) for x in words[0].split("-"))
                size = end - start
            elif words[0] == "Pss:" and size in (192 * MiB, 128 * MiB):
                total += int(words[1]) * 1024
        return total

    return sum(of(world.guests[name]) for name in "ab")


def parts_who_must_not_be_merged(world):
    """The guests that are off, or of another domain, are taken out before ksmd runs."""
    for name in "ab":  # what they have is known only while they stand still
        world.guests[name].suspend()
    world.promised = world.promise()
    world.share = share_of_memory(world)
    assert read("run") != "1" and world.state() == world.before  # so far it was only read
    world.configure()
    wait_for("ksmd to be started", lambda: world.merging() and
             world.merging()["pace"] in ("search", "found"), 60)
    assert world.is_off("off") and world.is_off("other")
    assert world.merging()["trust_domain"] == "lab", world.merging()
    guests = world.by_name()
    assert guests["off"]["reason"] == "off" and guests["other"]["reason"] in (
        "other-domain", "poor", "unknown"), guests


def merges_what_was_promised_before(world):
    """Within 2 %: by the kernel, and by what memctl tells of it."""
    def is_merged():
        merging = world.merging()
        return merging["pace"] == "found" and merging["saved"] >= 0.98 * merging["foretold"]

    try:
        wait_for("what was promised", is_merged, 180)
        really = world.share - share_of_memory(world)
        stats = {name: ksm_stat(guest) for name, guest in world.guests.items()}
    finally:
        merging = world.merging()
        for line in world.memctld.run("--json", "events").stdout.splitlines():
            event = json.loads(line)
            if event["kind"] in ("merge", "merge-failed", "ksm", "ksm-foreign-hand"):
                note(f"{event.get('guest', '')} {event['text']}")
        for name in "ab":
            world.guests[name].resume()
    note(f"the scanner promised {world.promised / MiB:.1f}M; memctl told {merging['foretold'] / MiB:.1f}M "
         f"and tells {merging['saved'] / MiB:.1f}M saved; the kernel {really / MiB:.1f}M")
    strangers = int(read("pages_sharing")) + int(read("pages_shared")) - sum(
        int(stats[name]["ksm_merging_pages"]) for name in "ab")
    if strangers > 1000:  # outside of this test's namespace; their pages are like ours
        note(f"KSM has merged {strangers} pages of others as well: not compared exactly")
        assert merging["saved"] >= 0.95 * world.promised and really >= 0.95 * world.promised
    else:
        for told in (world.promised, merging["foretold"], merging["saved"]):
            assert abs(told - really) <= 0.02 * really, (told, really, merging)
    for name in ("off", "other"):
        assert stats[name]["ksm_merging_pages"] == "0" and not marks(world.guests[name])[1], stats


def tells_each_guest_s_part(world):
    """Mergeable or not and why, promised, saved, cost: in tables, JSON and metrics."""
    for line in world.memctld.run("dedupe").stdout.splitlines():
        note(line)
    shown = world.memctld.run("show", "a").stdout
    part = shown.partition("equal pages\n")[2].splitlines()[:4]
    for line in part:
        note(line)
    assert [line.split()[0] for line in part] == ["mergeable", "promised", "saved", "cost"], shown
    assert part[0].split()[1] == "yes" and "pays" in part[0], shown
    off = world.memctld.run("show", "off").stdout
    assert "dedupe=no" in off.partition("equal pages\n")[2].splitlines()[0], off
    merging = world.memctld.json("show", "a")["merging"]
    assert merging["saved"] >= 0.9 * merging["foretold"] > 10 * MiB and merging["cpu_ms"], merging
    metrics = world.memctld.metrics()
    for name in ("mergeable", "promised", "foretold", "saved"):
        assert f'memctl_merge_guest_{name}_bytes{{domain="a"' in metrics, metrics


def goes_on_without_its_scanner(world):
    """kill -9 of memctl-scan: what is merged stays, and the next one reads on."""
    starts = world.memctld.json("dedupe")["scanner"]["starts"]
    done = subprocess.run(["pgrep", "-P", str(world.memctld.process.pid), "memctl-scan"],
                          capture_output=True, text=True, check=True)
    os.kill(int(done.stdout.split()[0]), signal.SIGKILL)
    wait_for("another one", lambda: world.memctld.json("dedupe")["scanner"]["starts"] > starts, 60)
    wait_for("its passes", world.promise, 60)
    assert read("run") == "1" and world.all_mergeable("a", "b"), world.merging()


def a_guest_that_hangs_keeps_ksmd_from_no_more_than_it_must(world):
    """Beside its own domain it may hang; when it must be parted and cannot, ksmd stands."""
    guest = world.guests["b"]
    guest.sigstop()
    try:
        time.sleep(3)
        assert read("run") == "1" and world.by_name()["b"]["mergeable"], world.merging()
        world.configure("[guests b]\ndedupe = no\n")
        wait_for("ksmd to stand", lambda: read("run") == "0", 60)
        wait_for("the reason", lambda: "guest 'b'" in world.merging()["why"], 10)
        note(world.merging()["why"])
        assert marks(guest)[0]
    finally:
        guest.sigcont()
    wait_for("it to be parted", lambda: world.is_off("b"), 120)
    world.configure()
    world.wait_for_ksmd("a", "b")


def a_guest_that_was_saved_is_looked_at_again(world):
    """What is restored is another QEMU, which begins with nothing mergeable."""
    path, pid = Path(world.lab.dir) / "b.saved", world.guests["b"].pid
    world.lab.virsh("save", "b", str(path))
    world.lab.virsh("restore", str(path))
    assert world.guests["b"].pid != pid
    path.unlink()
    world.wait_for_ksmd("a", "b")
    wait_for("it to be merged again", lambda: marks(world.guests["b"])[1] > 8 * MiB, 60)


def memory_that_is_plugged_in_is_merged_as_well(world):
    plugged = 128 * MiB
    world.lab.virsh("update-memory-device", "a", "--requested-size", "128M", "--live")
    wait_for("the guest to have it", lambda: world.memctld.guests()["a"]["memory"] >= 320 * MiB, 60)
    world.wait_for_ksmd("a", "b")
    guest = world.by_name()["a"]
    assert guest["mergeable"] >= 192 * MiB + plugged, guest
    assert plugged in marks(world.guests["a"])[0] and all(world.asked("a").values())


def stops_beside_who_is_no_guest_and_a_guest_with_memory_that_stays(world):
    """A process of somebody else; then a guest whose QEMU has more that is mergeable than its RAM."""
    stranger = subprocess.Popen([sys.executable, "-c", "import mmap, time; m = mmap.mmap(-1, 1 << 20,"
                                 " mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); "
                                 "m.madvise(mmap.MADV_MERGEABLE); time.sleep(600)"])
    try:
        wait_for("ksmd to stand", lambda: world.merging()["pace"] == "blocked", 60)
        wait_for("it to be seen", lambda: read("run") == "0", 10)
        assert "no guests" in world.merging()["why"], world.merging()
        plain = world.lab.bare("plain")
        world.configure("[guests plain]\ntrust-domain = plain\n")
    finally:
        stranger.kill()
        stranger.wait()
    wait_for("the other reason", lambda: "nosharepages" in world.merging()["why"], 60)
    assert read("run") == "0", world.merging()
    plain.destroy()
    world.configure()
    world.wait_for_ksmd("a", "b")


def another_domain_has_its_turn_alone(world):
    """The first one is parted before the second one is mergeable; the watch looks on."""
    assert world.by_name()["other"]["reason"] in ("other-domain", "poor"), world.by_name()
    assert marks(world.guests["a"])[1] > 8 * MiB
    world.configure("[guests a]\ndedupe = no\n[guests b]\ndedupe = no\n")
    wait_for("the other one", lambda: marks(world.guests["other"])[0], 120)
    assert world.is_off("a") and world.is_off("b") and not marks(world.guests["a"])[1]
    assert world.merging()["trust_domain"] == "other", world.merging()
    wait_for("its pages to be merged", lambda: marks(world.guests["other"])[1], 60)
    note(f"looked {world.watch.looks} times for two domains that are mergeable while ksmd runs")
    assert world.watch.looks > 50 and not world.watch.broken, world.watch.broken


def puts_everything_back_after_a_crash(world):
    assert world.state() != world.before
    world.memctld.stop(signal.SIGKILL)
    done = subprocess.run([world.build / "daemon" / "memctld", *world.memctld.arguments,
                           "--restore-ksm"], capture_output=True, text=True, timeout=60,
                          env=world.memctld.environment)
    note(done.stderr.strip())
    assert done.returncode == 0, done
    after = world.state()
    assert after == world.before, (after, world.before)
    assert not (world.memctld.folder / "ksm.json").exists()


def alone():
    """
    Begin again in a PID namespace: other people's QEMUs on this machine are mergeable as well, and
    memctld would not let ksmd run beside them.
    """
    if os.getpid() != 1:
        os.execvp("unshare", ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
                              sys.executable, *sys.argv])


TESTS = [
    parts_who_must_not_be_merged,
    merges_what_was_promised_before,
    tells_each_guest_s_part,
    goes_on_without_its_scanner,
    a_guest_that_hangs_keeps_ksmd_from_no_more_than_it_must,
    a_guest_that_was_saved_is_looked_at_again,
    memory_that_is_plugged_in_is_merged_as_well,
    stops_beside_who_is_no_guest_and_a_guest_with_memory_that_stays,
    another_domain_has_its_turn_alone,
    puts_everything_back_after_a_crash,
]


def main():
    build = Path(sys.argv[1]).resolve()
    skip = why_not()
    if not skip:
        alone()
    if not skip and not (KSM / "run").exists():
        skip = "the kernel has no KSM"
    if not skip and read("run") == "1":
        skip = "KSM is in use here"
    if skip:
        tap.run([], skip=skip)
    world = World(build)
    try:
        tap.run(TESTS, world)
    finally:
        world.close()


if __name__ == "__main__":
    main()
