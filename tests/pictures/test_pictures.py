#!/usr/bin/env python3
"""
The pictures of README and docs: test_pictures.py BUILD_DIR. Prints TAP. Each one that is shown is there,
is made by docs/pictures/make, and what makes it still works; where there is a browser and tmux, all
of them are made once, early and elsewhere.
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
PICTURES = SOURCE / "docs" / "pictures"
sys.path[:0] = [str(SOURCE / "tests" / "tools"), str(PICTURES)]

import browser  # noqa: E402
import tap  # noqa: E402
import terminal_svg  # noqa: E402
import tmux  # noqa: E402

KINDS = (".svg", ".webp", ".png")
# Words that are in the picture whatever else is.
WORDS = {"top.svg": ["memctl top", "GUEST", "db1"], "explain.svg": ["memctl explain batch", "divided"],
         "doctor.svg": ["memctl doctor", "mail"], "history.svg": ["web1"]}


def pictures(folder):
    return {path.name for path in folder.iterdir() if path.suffix in KINDS}


def shown():
    """(page, the file that it shows) for every picture on a page."""
    for page in [SOURCE / "README.md", *(SOURCE / "docs").glob("*.md")]:
        for link in re.findall(r'!\[[^]]*\]\(([^)\s]+)|(?:src|srcset)="([^"]+)"', page.read_text()):
            yield page, page.parent / (link[0] or link[1])


def words_of(path):
    texts = ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return " ".join("".join(text.itertext()) for text in texts).replace("\u00a0", " ")


def shows_only_what_is_there(_):
    found = list(shown())
    assert len(found) >= 5, found
    for page, path in found:
        assert path.exists(), (page, path)
    unused = pictures(PICTURES) - {path.name for _, path in found}
    assert not unused, f"on no page: {unused}"


def has_pictures_that_can_be_read(_):
    for name in pictures(PICTURES):
        data = (PICTURES / name).read_bytes()
        if name.endswith(".svg"):
            words = words_of(PICTURES / name)
            assert all(word in words for word in WORDS[name]), (name, words)
        else:
            assert data[:4] == b"RIFF" and data[8:12] == b"WEBP", name


def draws_a_terminal(_):
    """Colours, signs that XML does not take as they are, and blanks that count."""
    drawn = terminal_svg.draw("\x1b[1;31ma<b\x1b[0m   & c\n\x1b[7mdone\x1b[27m\n\n", "t")
    root = ElementTree.fromstring(drawn)
    texts = [text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text.text for text in texts] == ["a<b", "\u00a0\u00a0\u00a0&\u00a0c", "done"], drawn
    assert texts[0].get("fill") == terminal_svg.COLOURS[1] and texts[0].get("font-weight"), drawn
    assert texts[2].get("fill") == terminal_svg.BACK, drawn


def makes_them_all(build):
    reason = browser.missing() or tmux.why_not()
    if reason:
        print(f"# not made: {reason}")
        return
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, PICTURES / "make", build, folder],
                              capture_output=True, text=True, timeout=240,
                              env={**os.environ, "MEMCTL_PICTURE_SECONDS": "8"})
        assert done.returncode == 0, done.stdout + done.stderr
        assert pictures(Path(folder)) == pictures(PICTURES), done.stdout
        for name, words in WORDS.items():
            found = words_of(Path(folder) / name)
            assert all(word in found for word in words), (name, found)


TESTS = [
    shows_only_what_is_there,
    has_pictures_that_can_be_read,
    draws_a_terminal,
    makes_them_all,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")
