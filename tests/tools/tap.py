"""Tests that are functions: runs them in order and prints TAP."""

import inspect
import sys
import time
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here: why."""


def run(tests, *arguments, skip=None, after_failure=None):
    """
    Call every test with the arguments; exit 1 if one failed. skip: why none can run here.
    after_failure is called with the arguments to bring back what the next test expects.
    """
    if skip:
        print(f"1..0 # SKIP {skip}")
        sys.exit(0)
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        began = time.monotonic()
        try:
            test(*arguments)
            word = "ok"
        except Skip as why:
            print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
            continue
        except Exception:  # noqa: BLE001 - a test may fail in any way
            failed += 1
            word = "not ok"
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            if after_failure:
                after_failure(*arguments)
        print(f"{word} {number} - {test.__name__} # {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


def main(world, tests, skip=None):
    """
    What a test program does whose tests share a world: PROGRAM ARGUMENT... [TEST...]. The tests that
    are named, or all, get world(ARGUMENT...) one after the other; its close() is called at the end
    and, if it has one, its restore() after a test that failed.
    """
    if skip:
        run([], skip=skip)
    count = len(inspect.signature(world).parameters)
    names = sys.argv[1 + count:]
    unknown = set(names) - {test.__name__ for test in tests}
    if unknown:
        sys.exit(f"{sys.argv[0]}: no test is called {' or '.join(sorted(unknown))}; there are: "
                 + ", ".join(test.__name__ for test in tests))
    shared = world(*sys.argv[1:1 + count])
    try:
        run([test for test in tests if not names or test.__name__ in names], shared,
            after_failure=getattr(world, "restore", None))
    finally:
        shared.close()
