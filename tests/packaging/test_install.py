#!/usr/bin/env python3
"""
What `ninja install` puts where, and whether systemd accepts it: test_install.py BUILD_DIR. Prints
TAP. It installs into a folder of its own.
"""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "tools"))

import tap  # noqa: E402

# As systemd-analyze counts it.
EXPOSURE_MOST = {"memctld.service": 2.0, "memctl-scan@.service": 1.5}


class Installed:
    def __init__(self, build):
        self.build = Path(build).resolve()
        self.folder = tempfile.TemporaryDirectory(prefix="memctl-install-")
        self.root = Path(self.folder.name)
        subprocess.run(["meson", "install", "-C", self.build, "--no-rebuild", "--quiet",
                        "--destdir", self.root], check=True, capture_output=True)
        options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", self.build],
                                            check=True, capture_output=True, text=True).stdout)
        self.option = {option["name"]: option["value"] for option in options}
        self.prefix = self.option["prefix"].lstrip("/")

    def at(self, path):
        """A file below the prefix; {libdir} and its like are the build's."""
        path = Path(path.format(**self.option))
        return self.root / (str(path).lstrip("/") if path.is_absolute() else self.prefix / path)

    def files(self):
        return {path for path in self.root.rglob("*") if not path.is_dir()}

    def unit(self, name):
        found = [path for path in self.files() if path.name == name]
        assert len(found) == 1, (name, found)
        return found[0]


def names(folder, pattern):
    return sorted(path.name for path in (SOURCE / folder).glob(pattern))


def described():
    """The manual pages that are made of the documentation."""
    sys.path.insert(0, str(SOURCE / "docs" / "man"))
    import from_markdown
    return [page[:-1].replace("(", ".") for page in from_markdown.PAGES.values()]


def wanted(has_manual):
    """Every file that belongs to an installation, by where its source is."""
    yield from ("{bindir}/memctl", "{sbindir}/memctld", "{sbindir}/balloon-guest-agent",
                "{libexecdir}/memctl/memctl-scan", "{libdir}/libmemctl.so",
                "{libdir}/libmemctl.so.0", "{libdir}/libmemctl.so.0.1.0",
                "{libdir}/pkgconfig/memctl.pc", "lib/sysusers.d/memctl.conf",
                "lib/tmpfiles.d/memctl.conf", "{datadir}/bash-completion/completions/memctl",
                "{datadir}/zsh/site-functions/_memctl",
                "{datadir}/fish/vendor_completions.d/memctl.fish",
                "{datadir}/memctl/libvirt-hooks/memctl-admit",
                "{datadir}/doc/memctl/examples/memctld.conf")
    for folder, pattern, to in (
            ("lib/include/memctl", "*.h", "{includedir}/memctl"),
            ("docs", "*.md", "{datadir}/doc/memctl"), ("docs", "*.json", "{datadir}/doc/memctl"),
            ("docs/examples", "*", "{datadir}/doc/memctl/examples"),
            ("docs/scenarios", "*.json", "{datadir}/doc/memctl/scenarios"),
            ("packaging/prometheus", "*.yml", "{datadir}/memctl/prometheus"),
            ("packaging/grafana", "*.json", "{datadir}/memctl/grafana")):
        for name in names(folder, pattern):
            yield f"{to}/{name}"
    for name in names("policies", "*.c"):
        yield f"{{libdir}}/memctl/policies/{name.removesuffix('.c')}.so"
    pages = [name.removesuffix(".scd") for name in names("docs/man", "*.scd")]
    for page in [*pages, *described()] if has_manual else ():
        yield f"{{mandir}}/man{page[-1]}/{page}"


# And the programs that they start.
UNITS = {"memctld.service": "{sbindir}/memctld",
         "memctl-scan@.service": "{libexecdir}/memctl/memctl-scan", "memctl-scan.socket": None,
         "balloon-guest-agent.service": "{sbindir}/balloon-guest-agent"}


def installs_everything_and_nothing_else(installed):
    units = {installed.unit(name) for name in UNITS}
    expected = {installed.at(path) for path in wanted(shutil.which("scdoc"))} | units
    there = installed.files()
    assert not expected - there, f"missing: {sorted(map(str, expected - there))}"
    assert not there - expected, f"unknown: {sorted(map(str, there - expected))}"


def installs_with_the_right_modes(installed):
    for path in installed.files():
        mode = path.stat().st_mode & 0o7777
        runs = path.parent.name in ("bin", "sbin") or path.name in ("memctl-scan", "memctl-admit")
        assert mode & 0o755 == (0o755 if runs or path.suffix == ".so" or ".so." in path.name
                                else 0o644), (path, oct(mode))
        assert not mode & 0o7022, (path, oct(mode))


def names_in_the_unit_what_it_installs(installed):
    for name in ("memctld.service", "memctl-scan@.service"):
        unit = installed.unit(name).read_text()
        program = re.search(r"^ExecStart=(\S+)", unit, re.M)[1]
        assert installed.at(program).exists(), program
        assert "@" not in re.sub(r"(?m)^#.*$", "", unit).replace("@system-service", "") \
            .replace("@privileged @resources", "")


def memctld_looks_for_the_scanner_where_it_listens(installed):
    path = re.search(r"^ListenSequentialPacket=(\S+)",
                     installed.unit("memctl-scan.socket").read_text(), re.M)[1]
    assert f"MEMCTL_SCAN_SOCKET={path}\n" in installed.unit("memctld.service").read_text()


def verifies_the_units(installed):
    if not shutil.which("systemd-analyze"):
        print("# systemd-analyze is missing: not checked")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, program in UNITS.items():
            text = installed.unit(name).read_text()
            if program:
                text = re.sub(r"(?m)^(ExecStart|ExecStopPost)=\S+",
                              rf"\1={installed.at(program)}", text)
            (Path(folder) / name).write_text(text)
        for name in UNITS:
            unit = Path(folder) / name.replace("@.", "@1.")
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit],
                                  capture_output=True, text=True, timeout=60)
            said = [line for line in done.stderr.splitlines() if re.search("memctl|balloon", line)]
            assert not said, said


def exposes_little(installed):
    if not shutil.which("systemd-analyze"):
        print("# systemd-analyze is missing: not checked")
        return
    for name, most in EXPOSURE_MOST.items():
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                               installed.unit(name)], capture_output=True, text=True, timeout=60)
        found = re.search(r"exposure level for (\S+): ([\d.]+)", done.stdout)
        if not found:  # before systemd 250
            print(f"# not checked: {done.stderr.strip()}")
            return
        print(f"# exposure of {found[1]} {found[2]}")
        assert float(found[2]) <= most, "\n".join(
            line for line in done.stdout.splitlines() if line.startswith("✗"))


def makes_its_group_and_its_folders(installed):
    if not (shutil.which("systemd-sysusers") and shutil.which("systemd-tmpfiles")):
        print("# systemd-sysusers is missing: not checked")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for kind in ("sysusers.d", "tmpfiles.d"):
            (root / "usr/lib" / kind).mkdir(parents=True)
            shutil.copy(installed.at(f"lib/{kind}/memctl.conf"), root / "usr/lib" / kind)
        (root / "etc").mkdir()
        done = subprocess.run(["systemd-sysusers", f"--root={root}"], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done
        group = re.search(r"^memctl:x:(\d+):", (root / "etc/group").read_text(), re.M)
        assert group, (root / "etc/group").read_text()
        assert not (root / "etc/passwd").exists() or "memctl" not in \
            (root / "etc/passwd").read_text()
        done = subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create"],
                              capture_output=True, text=True, timeout=60)
        run = root / "run/memctl"
        assert run.is_dir() and run.stat().st_gid == int(group[1]), done


def has_completions_that_can_be_read(installed):
    for shell, path in (("bash", "{datadir}/bash-completion/completions/memctl"),
                        ("zsh", "{datadir}/zsh/site-functions/_memctl"),
                        ("fish", "{datadir}/fish/vendor_completions.d/memctl.fish")):
        if shutil.which(shell):
            done = subprocess.run([shell, "-n", installed.at(path)], capture_output=True, text=True)
            assert done.returncode == 0, (shell, done.stderr)


def has_a_manual_without_a_warning(installed):
    """Of every program, protocol and file; with none for whoever formats it on 80 columns."""
    if not (shutil.which("scdoc") and shutil.which("man") and shutil.which("groff")):
        print("# scdoc, man or groff is missing: not checked")
        return
    pages = [path for path in installed.files() if "/man/man" in str(path)]
    assert len(pages) >= 12, pages
    for path in pages:
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
                              capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
        assert done.returncode == 0 and not done.stderr, (path.name, done.stderr)
        words = path.read_text().partition(".SH NAME")[2].split(".SH")[0]
        assert f"{path.name.rpartition('.')[0]} - " in words.replace("\\&", "").replace("\\", ""), (path.name, words)


def canonical(installed):
    """Every installed file as a package names it: /usr/bin/memctl, whatever the prefix was."""
    places = [(installed.at(option).resolve(), to) for option, to in (
        ("{libexecdir}", "/usr/libexec"), ("{libdir}", "/usr/lib/TRIPLET"),
        ("{bindir}", "/usr/bin"), ("{sbindir}", "/usr/sbin"), ("{includedir}", "/usr/include"),
        ("{mandir}", "/usr/share/man"), ("{datadir}", "/usr/share"), ("lib", "/usr/lib"))]
    for path in installed.files():
        if path.suffix in (".service", ".socket"):
            yield f"/usr/lib/systemd/system/{path.name}"
            continue
        place, to = next((place, to) for place, to in places if path.is_relative_to(place))
        yield f"{to}/{path.relative_to(place)}"


def is_covered(path, pattern):
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"{pattern}/*")


def packages_every_file_for_debian(installed):
    patterns = []
    for listing in (SOURCE / "packaging" / "debian").glob("*.install"):
        for line in listing.read_text().splitlines():
            source = line.split()[0]
            patterns.append("/" + source.replace("{,usr/}lib/systemd", "usr/lib/systemd"))
    check_packages(installed, [p for p in patterns if p.startswith("/usr")])


def packages_every_file_for_rpm(installed):
    spec = (SOURCE / "packaging" / "memctl.spec").read_text()
    macros = {"_bindir": "/usr/bin", "_sbindir": "/usr/sbin", "_libdir": "/usr/lib/TRIPLET",
              "_libexecdir": "/usr/libexec", "_includedir": "/usr/include",
              "_datadir": "/usr/share", "_docdir": "/usr/share/doc", "_mandir": "/usr/share/man",
              "_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d",
              "_tmpfilesdir": "/usr/lib/tmpfiles.d"}
    lines = re.findall(r"(?m)^%\{(_\w+)\}(\S*)$", spec.partition("\n%files\n")[2])
    check_packages(installed, [macros[macro] + rest for macro, rest in lines])


def check_packages(installed, patterns):
    assert len(patterns) > 10, patterns
    files = sorted(canonical(installed))
    for path in files:
        found = [pattern for pattern in patterns if is_covered(path, pattern)]
        assert len(found) == 1, f"{path}: in {len(found)} packages {found}"
    for pattern in patterns:
        manual = "/man/" in pattern and not shutil.which("scdoc")
        assert manual or any(is_covered(path, pattern) for path in files), f"nothing is {pattern}"


TESTS = [
    installs_everything_and_nothing_else,
    installs_with_the_right_modes,
    names_in_the_unit_what_it_installs,
    memctld_looks_for_the_scanner_where_it_listens,
    verifies_the_units,
    exposes_little,
    makes_its_group_and_its_folders,
    has_completions_that_can_be_read,
    has_a_manual_without_a_warning,
    packages_every_file_for_debian,
    packages_every_file_for_rpm,
]

if __name__ == "__main__":
    tap.run(TESTS, Installed(sys.argv[1]))
