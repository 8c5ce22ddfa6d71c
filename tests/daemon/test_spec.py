#!/usr/bin/env python3
"""
The RPM spec against what meson installs: test_spec.py BUILD_DIR. Prints TAP. packaging/try-rpm
builds the packages; here it is seen early that a file is in none of them.
"""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402

SPEC = Path(__file__).resolve().parents[2] / "packaging" / "memctl.spec"
FOLDERS = {"_prefix": "/usr", "_bindir": "/usr/bin", "_sbindir": "/usr/sbin",
           "_libdir": "/usr/lib", "_libexecdir": "/usr/libexec", "_datadir": "/usr/share",
           "_includedir": "/usr/include", "_mandir": "/usr/share/man",
           "_docdir": "/usr/share/doc", "_sysconfdir": "/etc", "_sharedstatedir": "/var/lib",
           "_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d",
           "_tmpfilesdir": "/usr/lib/tmpfiles.d"}
# Files that %install adds, and not meson.
ADDED = {"/etc/memctl", "/etc/memctl/memctld.conf", "/var/lib/memctl"}


def expanded():
    """The spec with its macros replaced, as rpm reads it."""
    defines = [word for name, path in FOLDERS.items() for word in ("--define", f"{name} {path}")]
    done = subprocess.run(["rpmspec", *defines, "-P", SPEC], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sections(text):
    """{package: [(path, whether it is a folder alone)]} of all %files."""
    found, package = {}, None
    for line in text.splitlines():
        if line.startswith("%files"):
            package = line.removeprefix("%files").strip().removeprefix("-n ").strip()
            found[package] = []
        elif re.match(r"%(changelog|pre|post|description|package)\b", line):
            package = None
        elif package is not None and (path := re.search(r"/\S+$", line)):
            found[package].append((path[0], "%dir" in line))
    return found


def installed(build):
    listed = json.loads(subprocess.run(["meson", "introspect", "--installed", build],
                                       capture_output=True, text=True, check=True).stdout)
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", build],
                                        capture_output=True, text=True, check=True).stdout)
    values = {option["name"]: option["value"] for option in options}
    library = f"{values['prefix']}/{values['libdir']}/"
    paths = (path.replace(library, "/usr/lib/", 1).replace(values["prefix"] + "/", "/usr/", 1)
             for path in listed.values())
    return {path.replace("/lib/systemd", "/usr/lib/systemd", 1) if path.startswith("/lib/") else path
            for path in paths}


def every_file_is_in_one_package(build):
    packages = sections(expanded())
    assert set(packages) == {"", "libs", "devel", "balloon-guest-agent"}, packages
    for path in sorted(installed(build)):
        owners = {package for package, entries in packages.items() for entry, alone in entries
                  if not alone and (fnmatch(path, entry) or path.startswith(entry + "/"))}
        assert len(owners) == 1, (path, owners)


def every_entry_is_installed(build):
    paths = installed(build) | ADDED
    manual = any("/man/" in path for path in paths)
    for entries in sections(expanded()).values():
        for entry, _ in entries:
            if "/man/" in entry and not manual:
                continue  # built without scdoc
            assert any(fnmatch(path, entry) or path.startswith(entry + "/") for path in paths), entry


def version_is_that_of_the_tree(build):
    options = subprocess.run(["meson", "introspect", "--projectinfo", build], capture_output=True,
                             text=True, check=True).stdout
    version = json.loads(options)["version"]
    text = SPEC.read_text()
    assert re.search(rf"^Version: +{re.escape(version)}$", text, re.M), version
    assert f"libmemctl.so.{version}" in text
    assert re.search(rf"^%changelog\n\*.* - {re.escape(version)}-1$", text, re.M)


TESTS = [every_file_is_in_one_package, every_entry_is_installed, version_is_that_of_the_tree]

if __name__ == "__main__":
    if not shutil.which("rpmspec"):
        tap.run(TESTS, skip="rpmspec is missing")
    tap.run(TESTS, sys.argv[1])
