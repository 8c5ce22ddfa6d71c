#!/usr/bin/env python3
"""
How well the agent knows what its guest works with, and what the host makes of it, in a real guest:
test_working_set.py BUILD_DIR. Prints TAP. The whole table is working_set.py's.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests"), str(TESTS_DIR / "real")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402
from working_set import Cell, error_of, measure  # noqa: E402

PORT = "org.memctl.guest.0"


class World:
    def __init__(self, build):
        self.build = Path(build)
        self.lab = Lab(build)
        self.guest = self.lab.boot("web1", memory="512M", stats_period=1,
                                   cmdline="lab.agent=--cost,20,--window,4,--method,referenced")

    def close(self):
        self.lab.down()


def note(text):
    print(f"# {text}", flush=True)


def knows_the_hot_part(world):
    """A window that a loaded machine makes too short is seen, and is tried again."""
    for method, cell, most in (
            ("referenced", Cell("anonymous", 25), 0.1),
            ("lru-gen", Cell("anonymous", 25, scattered=True), 0.1),
            ("referenced", Cell("anonymous", 25, scattered=True, huge=True), 0.5),
            ("referenced", Cell("mapped files", 25), 0.1),
            ("lru-gen", Cell("read()", 25), 3.1)):
        for _ in range(3):
            figure, truth, said = measure(world.guest.hog, method, cell, window=4)
            error = error_of(figure, truth)
            note(f"{method}, {cell.name()}, {cell.percent} % hot: {100 * error:+.1f} %, "
                 f"{said['confidence']} % sure")
            if -0.05 <= error <= most:
                break
        assert -0.05 <= error <= most, (cell.name(), said)


def the_host_counts_what_the_agent_says(world):
    hog = world.guest.hog
    hog.run("echo never > /sys/kernel/mm/transparent_hugepage/enabled")
    hog.alloc("280M")
    hog.hot("70M")
    with Memctld(world.build, world.lab.uri, interval="1s",
                 config="[estimate]\nactive-fade = 1s\n[guests]\nmanaged = no\n") as memctld:
        def seen():
            guest = memctld.guests().get("web1")
            working_set = guest and guest["agent"] and guest["agent"]["working_set"]
            return (working_set and guest["active_source"] == "agent" and guest["active"] < 200 * MiB
                    and guest["used"] > 300 * MiB and working_set["confidence"] == 100 and guest)

        guest = wait_for("the agent's figure", seen, 90)[0]
        status = memctld.run("agent", "status").stdout
        note(f"used {guest['used'] / MiB:.0f}M, active {guest['active'] / MiB:.0f}M of which "
             f"{guest['agent']['working_set']['kernel'] / MiB:.0f}M the kernel's; cost "
             f"{100 * guest['agent']['working_set']['cost']:.2f} % of a processor")
        assert guest["active"] > 70 * MiB
        assert "referenced" in status and "web1" in status, status
        assert "by referenced" in " ".join(memctld.run("explain", "web1").stdout.split())
        assert 'method="referenced"' in memctld.metrics()
    hog.hot(0)
    hog.free()


def a_channel_is_added_to_a_running_guest(world):
    guest = world.lab.boot("web2", memory="128M", agent=False)
    with Memctld(world.build, world.lab.uri, interval="1s",
                 config="[guests]\nmanaged = no\n") as memctld:
        wait_for("the guest", lambda: "web2" in memctld.guests(), 20)
        assert "no channel" in memctld.run("agent", "status", "web2").stdout
        done = memctld.run("agent", "enable", "web2")
        assert done.returncode == 0, done.stderr
        assert "for as long as it runs" in done.stdout, done.stdout
        again = memctld.run("agent", "enable", "web2")
        assert "already" in again.stdout, again
        wait_for("the channel", lambda: memctld.guests()["web2"]["agent_channel"], 20)
        note(done.stdout.strip())
    assert PORT in world.lab.virsh("dumpxml", "web2")
    # Paths of libvirt's own choice are the lab's own, so the host's end is not memctld's to open.
    folder, = (world.lab.dir / "lib/qemu/channel/target").glob("domain-*-web2")
    assert PORT in [path.name for path in folder.iterdir()]
    guest.destroy()


def a_defined_guest_keeps_its_channel(world):
    """Running, it gets it at once and for the next start; shut off, for the next start."""
    guest = world.lab.boot("web3", memory="128M", agent=False, persistent=True)
    with Memctld(world.build, world.lab.uri, interval="1s",
                 config="[guests]\nmanaged = no\n") as memctld:
        wait_for("the guest", lambda: "web3" in memctld.guests(), 20)
        done = memctld.run("agent", "enable", "web3")
        assert done.returncode == 0 and "after its next start" in done.stdout, done
        for options in ((), ("--inactive",)):
            assert PORT in world.lab.virsh("dumpxml", "web3", *options), options
        assert "already" in memctld.run("agent", "enable", "web3").stdout
        guest.destroy()
        world.lab.virsh("undefine", "web3")

        xml = world.lab.bare("web4", start=False)
        world.lab.virsh("define", xml)
        try:
            done = memctld.run("agent", "enable", "web4")
            assert done.returncode == 0 and "from its next start on" in done.stdout, done
            assert PORT in world.lab.virsh("dumpxml", "web4", "--inactive")
        finally:
            world.lab.virsh("undefine", "web4")


TESTS = [
    knows_the_hot_part,
    the_host_counts_what_the_agent_says,
    a_channel_is_added_to_a_running_guest,
    a_defined_guest_keeps_its_channel,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())
