"""Tests that are functions: runs them in order and prints TAP."""

import sys
import time
import traceback


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
        except Exception:  # noqa: BLE001 - a test may fail in any way
            failed += 1
            word = "not ok"
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            if after_failure:
                after_failure(*arguments)
        print(f"{word} {number} - {test.__name__} # {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(1 if failed else 0)
