#!/usr/bin/env python3
"""
A policy made by somebody who has nothing of memctl but what is installed: test_third_party_policy.py
BUILD_DIR. Installs the build into a temporary folder and follows docs/writing-a-policy.md there, by
the letter; then tries modules that are wrong. Prints TAP.
"""

import json
import os
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
from memctld import STRICT, Memctld, wait_for  # noqa: E402

MiB = 1 << 20
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "c", "memory": "1G", "working_set": "60M", "min": "128M", "shares": 2000},
    ],
}
OVERHEAD = 32 * MiB  # 30 MiB in the scenario, counted in steps of 4
BUDGET = 1536 * MiB + 3 * OVERHEAD

# The smallest module; what is wrong with it is filled in.
MODULE = """
#include <memctl/policy.h>

#include <errno.h>
#include <stdlib.h>

static void *open_state(void)
{
    return malloc(1);
}

static void close_state(void *state)
{
    free(state);
}

static int decide(const struct mc_policy_input *input, const double *params, void *state,
                  uint64_t *targets)
{
    (void)params;
    (void)state;
    for (size_t i = 0; i < input->count; i++)
        targets[i] = %(target)s;
    return %(result)s;
}

MC_PUBLIC const struct mc_policy %(symbol)s = {
    .abi = %(abi)s,
    .name = %(name)s,
    .description = "is wrong",
    .open = open_state,
    .close = close_state,
    .decide = decide,
};
"""
RIGHT = {"target": "input->guests[i].min", "result": "0", "symbol": "mc_policy_module",
         "abi": "MC_POLICY_ABI", "name": '"wrong"'}

# The frame around the example of a policy by price.
BY_PRICE = """
#include <memctl/policy.h>

#include <errno.h>

#include <memctl/units.h>

static void *open_state(void)
{
    return mc_divider_new();
}

static void close_state(void *state)
{
    mc_divider_free(state);
}

static int decide(const struct mc_policy_input *input, const double *params, void *state,
                  uint64_t *targets)
{
    (void)params;
%s}

MC_PUBLIC const struct mc_policy mc_policy_module = {
    .abi = MC_POLICY_ABI,
    .name = "by-price",
    .description = "taxes idle memory",
    .open = open_state,
    .close = close_state,
    .decide = decide,
};
"""


class Installed:
    """What `meson install` leaves, and a folder of a stranger's own."""

    def __init__(self, build, folder):
        self.folder = Path(folder)
        self.root = self.folder / "root"
        self.work = self.folder / "work"
        self.work.mkdir()
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir",
                        self.root], check=True, stdout=subprocess.DEVNULL)
        self.package = next(self.root.rglob("memctl.pc"))
        self.docs = next(self.root.rglob("writing-a-policy.md"))
        self.environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(self.root),
                                PKG_CONFIG_PATH=str(self.package.parent),
                                LD_LIBRARY_PATH=str(self.package.parent.parent))
        os.environ["LD_LIBRARY_PATH"] = str(self.package.parent.parent)
        self.lay_out()
        self.scenario = self.work / "host.json"
        self.scenario.write_text(json.dumps(SCENARIO))

    def lay_out(self):
        """The installed programs where the tools for tests look for them."""
        self.programs = self.folder / "programs"
        for place, program in (("daemon", "memctld"), ("cli", "memctl")):
            (self.programs / place).mkdir(parents=True)
            found = next(path for path in self.root.rglob(program)
                         if path.is_file() and os.access(path, os.X_OK))
            (self.programs / place / program).symlink_to(found)
        (self.programs / "policies").symlink_to(next(self.root.rglob("idle-tax.so")).parent)

    def blocks(self):
        """The indented blocks of the document, without their indentation."""
        lines = [line[4:] if line.startswith("    ") else "" if not line else None
                 for line in self.docs.read_text().splitlines()]
        text = "\n".join("\0" if line is None else line for line in lines)
        return [block.strip("\n") + "\n" for block in text.split("\0") if block.strip()]

    def block(self, words):
        return next(block for block in self.blocks() if words in block)

    def shell(self, command):
        return subprocess.run(["sh", "-e", "-c", command], cwd=self.work, env=self.environment,
                              capture_output=True, text=True, timeout=60)

    def compile(self, name, text):
        """Build a module with the command that the document gives."""
        (self.work / f"{name}.c").write_text(text)
        command = self.block("cc -shared").partition("\n\n")[0].replace("priority", name)
        done = self.shell(command.replace("cc -shared", "cc -Wall -Werror -shared"))
        assert done.returncode == 0, (command, done.stderr)
        return self.work / f"{name}.so"

    def check_config(self, text):
        config = self.work / "check.conf"
        config.write_text(text)
        return self.shell(f"MEMCTL_POLICY_PATH={self.programs}/policies "
                          f"{self.programs}/daemon/memctld --check-config --config {config}")

    def memctld(self, config):
        return Memctld(self.programs, f"sim:{self.scenario}", config=STRICT + config, budget=BUDGET,
                       interval="200ms")


def use(module, rest=""):
    return f"[policy]\nname = {module}\n{rest}"


def wrong(**changes):
    return MODULE % dict(RIGHT, **changes)


def failures(memctld):
    return int(re.search(r"^memctl_policy_failures_total (\d+)", memctld.metrics(), re.M)[1])


# What the document teaches.

def the_document_shows_the_example_as_it_is(installed):
    example = next(installed.root.rglob("priority.c")).read_text()
    shown = [block for block in installed.blocks() if "priority" in block and ";\n" in block]
    assert len(shown) == 2, shown
    for block in shown:
        assert block in example, block


def the_example_builds_with_what_is_installed(installed):
    example = next(installed.root.rglob("priority.c"))
    module = installed.compile("priority", example.read_text())
    command = installed.shell("pkg-config --cflags memctl").stdout
    assert f"-I{installed.root}" in command and str(SOURCE / "lib") not in command, command
    needs = installed.shell(f"nm -D --undefined-only {module}").stdout
    assert "mc_" not in needs, needs  # it is self-contained
    exports = installed.shell(f"nm -D --defined-only {module}").stdout.split()
    assert [name for name in exports if name.startswith("mc_")] == ["mc_policy_module"], exports


def memctld_checks_it_with_its_parameters(installed):
    config = installed.block("name = /usr/local/lib/priority.so")
    config = config[config.index("[policy]"):]
    config = config.replace("/usr/local/lib", str(installed.work))
    done = installed.check_config(config)
    assert done.returncode == 0, done.stderr
    done = installed.check_config(config.replace("75%", "175%"))
    assert done.returncode == 1 and "fill '175%' is not a number from 0 to 1" in done.stderr, done


def memctld_divides_by_it(installed):
    module = installed.work / "priority.so"
    with installed.memctld(use(module, "fill = 75%\n")) as memctld:
        def filled():
            guests = memctld.guests()
            return abs(guests["c"]["actual"] - 768 * MiB) < 8 * MiB
        wait_for("the guest with the most shares to have 75 % of its max", filled)
        wait_for("the rest to go to one of the others",
                 lambda: sorted(g["actual"] for g in memctld.guests().values())[0] < 200 * MiB)
        assert "policy priority" in memctld.run("status").stdout
        assert "policy" in memctld.run("show", "c").stdout
        assert failures(memctld) == 0


def a_module_beside_the_installed_ones_needs_no_path(installed):
    folder = installed.shell("pkg-config --variable=policydir memctl").stdout.strip()
    folder = Path(folder if folder.startswith(str(installed.root))
                  else f"{installed.root}{folder}")
    assert (folder / "idle-tax.so").exists(), folder
    shutil.copy(installed.work / "priority.so", folder / "mine.so")
    done = installed.check_config(use("mine"))
    assert done.returncode == 0, done.stderr


def the_policy_by_price_is_complete(installed):
    block = installed.block("mc_divider_demands(state, input)")
    lines = [f"    {line}" if line else "" for line in block.splitlines()]
    module = installed.compile("by-price", BY_PRICE % ("\n".join(lines) + "\n"))
    with installed.memctld(use(module)) as memctld:
        wait_for("c to have more than a",
                 lambda: memctld.guests()["c"]["actual"] > memctld.guests()["a"]["actual"])
        assert failures(memctld) == 0


# What is refused.

def wrong_modules_are_not_loaded(installed):
    cases = [
        ("version", {"abi": "MC_POLICY_ABI + 1"}, "made for interface version"),
        ("symbol", {"symbol": "my_policy"}, "exports no symbol 'mc_policy_module'"),
        ("table", {"name": "NULL"}, "lacks a name, a description, open, close or decide"),
        ("function", {"target": "unheard_of()"}, "undefined symbol: unheard_of"),
    ]
    for name, changes, words in cases:
        text = wrong(**changes)
        if "unheard_of" in text:
            text = "#include <stdint.h>\nuint64_t unheard_of(void);\n" + text
        module = installed.compile(name, text)
        done = installed.check_config(use(module))
        assert done.returncode == 1, (name, done)
        assert words in done.stderr and str(module) in done.stderr, (name, done.stderr)
    (installed.work / "text.so").write_text("not a module\n")
    for name in ("text.so", "nowhere.so"):
        done = installed.check_config(use(installed.work / name))
        assert done.returncode == 1 and "policy cannot be loaded" in done.stderr, done
        assert name in done.stderr, done.stderr


def a_reload_with_a_wrong_module_keeps_the_policy(installed):
    module = installed.compile("version", wrong(abi="MC_POLICY_ABI + 1"))
    with installed.memctld(use("idle-tax")) as memctld:
        memctld.config.write_text(STRICT + use(module))
        done = memctld.run("reload")
        assert done.returncode == 1, done
        assert "made for interface version" in done.stderr, done.stderr
        assert "policy idle-tax" in memctld.run("status").stdout
        assert memctld.run("list").returncode == 0


def wrong_answers_are_not_used(installed):
    cases = [
        ("above", {"target": "input->guests[i].max + MC_PAGE"}, "for a guest between"),
        ("below", {"target": "input->guests[i].min - MC_PAGE"}, "for a guest between"),
        ("all", {"target": "input->guests[i].max"}, "gave out"),
        ("fails", {"result": "-EIO"}, "failed: Input/output error"),
    ]
    for name, changes, words in cases:
        text = wrong(**changes).replace("<memctl/policy.h>",
                                        "<memctl/policy.h>\n#include <memctl/units.h>")
        with installed.memctld(use(installed.compile(name, text))) as memctld:
            wait_for("the failure to be counted", lambda: failures(memctld) == 1)
            assert words in memctld.log(), (name, memctld.log())
            # None was good before it, so the simplest of those that come with memctl goes on.
            wait_for("c to be divided for by shares",
                     lambda: abs(memctld.guests()["c"]["actual"] - 768 * MiB) < 8 * MiB)
            refused = memctld.json("status")["policy_refused"]
            assert words in refused["error"] and failures(memctld) == 1, (name, refused)


TESTS = [
    the_document_shows_the_example_as_it_is,
    the_example_builds_with_what_is_installed,
    memctld_checks_it_with_its_parameters,
    memctld_divides_by_it,
    a_module_beside_the_installed_ones_needs_no_path,
    the_policy_by_price_is_complete,
    wrong_modules_are_not_loaded,
    a_reload_with_a_wrong_module_keeps_the_policy,
    wrong_answers_are_not_used,
]


def what_is_missing():
    missing = [tool for tool in ("meson", "cc", "pkg-config", "nm") if not shutil.which(tool)]
    return f"needs {', '.join(missing)}" if missing else None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="memctl-third-party-") as folder:
        skip = what_is_missing()
        tap.run(TESTS, skip or Installed(sys.argv[1], folder), skip=skip)
