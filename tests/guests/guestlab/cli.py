"""The command line: one function per command, registered in a table at the end."""

import argparse
import json
import os
import sys
import time

from . import image as images
from .errors import LabError
from .lab import Lab, why_not
from .sizes import MiB, parse_size

HOG_HELP = """\
what to do:
  ping | stats
  alloc SIZE [random|zero|pool]       allocate and write memory (pool: alike in every guest)
  free [SIZE]                         give it back
  hot SIZE [PERIOD_MS [write]]        keep touching the first SIZE of it
  fill SIZE MIB_PER_S [KIND]          allocate in the background
  cache SIZE [PERIOD_MS]              keep reading page cache (0: drop it)
  zram SIZE                           add swap in compressed memory
  low SIZE                            answer when less than that is available
  oomscore N                          how soon the guest's OOM killer takes the memory's holder
  hugepages on|off                    transparent huge pages for later allocations
  run COMMAND...                      a shell command in the guest
  reboot | poweroff | crash | quit
"""


def default_dir():
    return os.environ.get("MEMCTL_LAB_DIR") or f"/tmp/memctl-lab-{os.getuid()}"


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def attach(args):
    return Lab.attach(args.dir, say=say)


def boot_options(args):
    options = {"memory": args.memory, "deflate_on_oom": args.deflate_on_oom,
               "free_page_reporting": args.free_page_reporting,
               "stats_period": args.stats_period, "memory_backing": args.memory_backing,
               "vcpus": args.vcpus, "balloon": not args.no_balloon,
               "virtio_mem": args.virtio_mem}
    if args.metadata:
        with open(args.metadata) as f:
            options["metadata_xml"] = f.read()
    return options


def boot_all(lab, names, args):
    """The first guest boots, the others are its copies unless that was not wanted."""
    start = time.monotonic()
    clone = not args.no_clone and len(names) > 2
    say(f"booting {names[0]} ({args.memory})" + (" and copying it" if clone else ""))
    lab.boot_many(names, clone=clone, **boot_options(args))
    say(f"{len(names)} guest{'s' * (len(names) > 1)} up after {time.monotonic() - start:.1f} s")


def cmd_image(args):
    image = images.build(args.build, args.agent, args.cache, args.kernel_package, args.refresh, say)
    print(f"release {image.release}\nkernel  {image.kernel}\ninitrd  {image.initrd}")


def cmd_up(args):
    for name in args.names:
        parse_name(name)
    lab = Lab(args.build, agent=args.agent or True, cache=args.cache,
              kernel_package=args.kernel_package, folder=fresh_dir(args.dir), detached=True,
              say=say)
    try:
        say(f"libvirtd is up in {lab.dir}"
            + ("" if lab.accel == "kvm" else "; without KVM, so guests are slow"))
        names = args.names or [f"guest{i}" for i in range(1, args.guests + 1)]
        if names:
            boot_all(lab, names, args)
    except BaseException:
        say("taking it down again")
        lab.down()
        raise
    print(lab.uri)


def fresh_dir(path):
    """Removes what a lab left that was ended with all its processes at once, a power cut say."""
    if os.path.isdir(path):
        try:
            Lab.attach(path)
        except LabError:
            if os.listdir(path):
                raise LabError(f"{path} exists and no lab answers in it; remove it, or choose "
                               "another place with --dir") from None
            os.rmdir(path)
        else:
            raise LabError(f"a lab runs in {path}; use it, end it with 'lab down', or choose "
                           "another place with --dir")
    return path


def cmd_boot(args):
    boot_all(attach(args), args.names, args)


def cmd_clone(args):
    lab = attach(args)
    lab.clone(lab.guest(args.source), args.names)
    say(f"{args.source} copied to {', '.join(args.names)}")


def cmd_hog(args):
    guest = attach(args).guest(args.name)
    guest.pid  # says clearly when it does not run
    verb, *rest = args.command
    if verb in ("reboot", "poweroff", "crash", "quit"):
        return guest.hog.send(verb)
    if verb == "run":
        answer = guest.hog.call("run " + " ".join(rest), 70)
        print(answer["output"], end="")
        return answer["status"]
    if verb in ("alloc", "free", "hot", "fill", "cache", "zram") and rest:
        rest[0] = str(parse_size(rest[0]))
    print(json.dumps(guest.hog.call(" ".join([verb, *rest]), 600), indent=2))


def cmd_status(args):
    lab = attach(args)
    status = lab.control("status")
    print(f"directory {lab.dir}\nuri       {lab.uri}\nlibvirtd  "
          f"{status['libvirtd'] or 'not running'}\naccel     {lab.accel}\n"
          f"kernel    {lab.image.release}")
    if not status["libvirtd"]:
        return
    form = "{:<20} {:<8} {:>8} {:>11} {:>12} {:>9}"
    print("\n" + form.format("guest", "state", "process", "actual MiB", "resident MiB", "held MiB"))
    for guest in lab.running():
        try:
            held = guest.hog.stats(timeout=1)["load"]["held"] // MiB
        except LabError:
            held = "?"
        try:
            print(form.format(guest.name, guest.state(), guest.pid, guest.actual() // MiB,
                              guest.rss() // MiB, held))
        except (LabError, OSError):
            print(form.format(guest.name, "ended", "", "", "", ""))


def cmd_virsh(args):
    lab = attach(args)
    os.execvp("virsh", ["virsh", "-c", lab.uri, *args.command])


def cmd_uri(args):
    print(attach(args).uri)


def cmd_restart(args):
    attach(args).restart_libvirtd()


def cmd_down(args):
    attach(args).down()
    say(f"{args.dir} is gone with all its guests")


def parse_name(name):
    if "/" in name or not name or len(name) > 50:
        raise LabError(f"'{name}' is no name for a guest; use up to 50 characters without '/'")
    return name


def add_image_options(parser):
    parser.add_argument("--build", metavar="DIR", help="the project's build directory")
    parser.add_argument("--agent", metavar="PATH", help="a static balloon-guest-agent")
    parser.add_argument("--cache", metavar="DIR",
                        help="where images are kept ($XDG_CACHE_HOME/memctl-lab)")
    parser.add_argument("--kernel-package", metavar="FILE",
                        help="kernel from this .deb or .rpm (several: commas between)")


def add_boot_options(parser):
    parser.add_argument("--memory", default="512M", metavar="SIZE", help="of each guest (512M)")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N")
    parser.add_argument("--deflate-on-oom", action="store_true",
                        help="the balloon gives way when the guest is out of memory")
    parser.add_argument("--free-page-reporting", action="store_true")
    parser.add_argument("--stats-period", type=int, metavar="SECONDS")
    parser.add_argument("--memory-backing", choices=["memfd", "hugepages"])
    parser.add_argument("--virtio-mem", metavar="SIZE", help="adds a virtio-mem device")
    parser.add_argument("--no-balloon", action="store_true")
    parser.add_argument("--metadata", metavar="FILE", help="XML for <metadata>")
    parser.add_argument("--no-clone", action="store_true",
                        help="boot each guest instead of copying the first")


def parser():
    top = argparse.ArgumentParser(
        prog="lab", description="Real Linux guests under a private libvirtd. "
        "Nothing of the system's libvirt is touched and nothing is left behind.")
    commands = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)

    def command(name, function, text, attached=True, **more):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".",
                                  **more)
        sub.set_defaults(function=function)
        if attached:
            sub.add_argument("--dir", default=default_dir(),
                             help="the lab's directory (%(default)s, or $MEMCTL_LAB_DIR)")
        return sub

    sub = command("image", cmd_image, "build the kernel and initramfs that guests boot", False)
    add_image_options(sub)
    sub.add_argument("--refresh", action="store_true",
                     help="ask the distribution for a newer kernel")
    sub = command("up", cmd_up, "start a lab that stays until 'lab down'")
    sub.add_argument("names", nargs="*", metavar="NAME", help="guests to start")
    sub.add_argument("--guests", type=int, default=0, metavar="N", help="or so many, guest1 ...")
    add_image_options(sub)
    add_boot_options(sub)
    sub = command("boot", cmd_boot, "boot more guests")
    sub.add_argument("names", nargs="+", metavar="NAME", type=parse_name)
    add_boot_options(sub)
    sub = command("clone", cmd_clone, "copy a running guest, memory and all")
    sub.add_argument("source", metavar="GUEST")
    sub.add_argument("names", nargs="+", metavar="NAME", type=parse_name)
    sub = command("hog", cmd_hog, "let the program in a guest do something", epilog=HOG_HELP,
                  formatter_class=argparse.RawDescriptionHelpFormatter)
    sub.add_argument("name", metavar="GUEST")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="WHAT")
    command("status", cmd_status, "show the lab and its guests")
    sub = command("virsh", cmd_virsh, "run virsh against the lab")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="ARGUMENT")
    command("uri", cmd_uri, "print the connection URI")
    command("restart-libvirtd", cmd_restart, "restart libvirtd; the guests go on")
    command("down", cmd_down, "end all guests and libvirtd, remove the directory")
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        if args.verb == "hog" and not args.command:
            raise LabError("what shall the guest do? see 'lab hog --help'")
        if args.verb != "image" and why_not():
            raise LabError(why_not())
        return args.function(args) or 0
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
