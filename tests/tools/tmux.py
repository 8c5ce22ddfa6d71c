"""A terminal for tests: a program in a tmux of its own, with its screen as text."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from memctld import wait_for


def why_not():
    """Why no terminal can be had here, or None."""
    return None if shutil.which("tmux") else "tmux is not installed"


class Terminal:
    """
    with Terminal(["top"], columns=80, rows=24, env={"TERM": "vt100"}) as terminal:
        terminal.wait("a text on the screen")
        terminal.keys("q")

    The program's exit code is in `code()` once it has ended; the screen stays.
    """

    def __init__(self, command, columns=80, rows=24, env=None):
        self.folder = Path(tempfile.mkdtemp(prefix="tmux-test-"))
        self.ended = self.folder / "code"
        environment = {"LC_ALL": "C.UTF-8", **(env or {})}
        words = ["env", *(f"{k}={v}" for k, v in environment.items()), *map(str, command)]
        script = f"{shlex.join(words)}; echo $? >{shlex.quote(str(self.ended))}; exec sleep 600"
        self.tmux("new-session", "-d", "-s", "test", "-x", str(columns), "-y", str(rows), script)

    def tmux(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        environment["LC_ALL"] = "C.UTF-8"
        done = subprocess.run(["tmux", "-u", "-f", "/dev/null", "-S", self.folder / "socket",
                               *arguments], capture_output=True, text=True, timeout=30,
                              env=environment)
        assert done.returncode == 0, done
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        # Its end is quick but not at once, and it removes its socket by itself.
        shutil.rmtree(self.folder, ignore_errors=True)

    def screen(self, attributes=False):
        return self.tmux("capture-pane", "-p", "-t", "test", *(["-e"] if attributes else []))

    def keys(self, *keys):
        """As tmux names them: "Enter", "C-u", "Down"; several letters are typed one by one."""
        self.tmux("send-keys", "-t", "test", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(rows))

    def wait(self, text, timeout=20):
        """Until the text is on the screen, which is returned."""
        try:
            wait_for(repr(text), lambda: text in self.screen(), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen is\n{self.screen()}") from None
        return self.screen()

    def wait_without(self, text, timeout=20):
        try:
            wait_for(f"no {text!r}", lambda: text not in self.screen(), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen is\n{self.screen()}") from None
        return self.screen()

    def code(self):
        wait_for("the end of the program",
                 lambda: self.ended.exists() and self.ended.read_text().strip())
        return int(self.ended.read_text())
