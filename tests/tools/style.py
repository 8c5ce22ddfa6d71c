#!/usr/bin/env python3
"""
What LLVM's tools say of every source, as TAP: style.py format|tidy SOURCE_DIR BUILD_DIR. Every
version of the tools formats a little differently and checks more than the one before; so only the
one that the sources were made with is asked.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

VERSION = 14  # what Debian 12 and Ubuntu 22.04 have
FOLDERS = ("lib", "policies", "daemon", "cli", "balloon-guest-agent", "tests", "docs")


def version_of(tool):
    try:
        said = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return None
    found = re.search(r"version (\d+)", said)
    return int(found[1]) if found else None


def sources(source):
    for folder in FOLDERS:
        yield from sorted(path for path in (source / folder).rglob("*.[ch]"))


def compiled(build):
    """Every source of the compilation database, once."""
    entries = json.loads((build / "compile_commands.json").read_text())
    return sorted({(Path(entry["directory"]) / entry["file"]).resolve() for entry in entries})


def check_format(path, _):
    return ["clang-format", "--dry-run", "-Werror", path]


def check_tidy(path, build):
    # The build knows options for its compiler that clang does not.
    return ["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", build, path]


def main():
    kind, source, build = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    check, paths = {"format": (check_format, list(sources(source))),
                    "tidy": (check_tidy, compiled(build))}[kind]
    version = version_of(f"clang-{kind}")
    if version != VERSION:
        print(f"1..0 # SKIP needs clang-{kind} {VERSION}, and there is {version or 'none'}")
        return 0

    os.nice(19)  # whatever else runs is waited for by somebody

    def run(path):
        return path, subprocess.run(check(path, build), capture_output=True, text=True)

    print(f"1..{len(paths)}", flush=True)
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (path, done) in enumerate(pool.map(run, paths), 1):
            name = path.relative_to(source.resolve())
            if done.returncode:
                failed = True
                for line in (done.stdout + done.stderr).splitlines():
                    print(f"# {line}")
            print(f"{'not ok' if done.returncode else 'ok'} {number} - {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
