# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal's screen, as tmux gives it with its colours, as a picture in SVG."""

import re
from html import escape

WIDTH, HEIGHT, MARGIN = 8.4, 18, 14
BACK, TEXT = "#12161c", "#d7dde5"
COLOURS = ["#6b7685", "#ff8a8a", "#7fdc9f", "#f5c869", "#7fb1ff", "#c79bf2", "#4fd0c8", "#e7ebf0"]


class Style:
    def __init__(self):
        self.reset()

    def reset(self):
        self.colour, self.bold, self.dim, self.reverse = None, False, False, False

    def take(self, codes):
        """One SGR sequence: the numbers between ESC [ and m."""
        for code in codes:
            if code == 0:
                self.reset()
            elif code in (1, 2, 7):
                setattr(self, {1: "bold", 2: "dim", 7: "reverse"}[code], True)
            elif code == 22:
                self.bold = self.dim = False
            elif code == 27:
                self.reverse = False
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.colour = COLOURS[code % 10]
            elif code == 39:
                self.colour = None

    def attributes(self):
        fill = BACK if self.reverse else self.colour or ("#8a94a3" if self.dim else TEXT)
        return f'fill="{fill}"' + (' font-weight="bold"' if self.bold else "")


def runs_of(line, style):
    """(column, text, attributes, whether reversed) of each piece with one style."""
    column = 0
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if piece.startswith("\x1b["):
            style.take([int(code or 0) for code in piece[2:-1].split(";")])
        elif piece:
            yield column, piece, style.attributes(), style.reverse
            column += len(piece)


def draw(screen, title):
    """Each piece is put at its column and stretched to it, whatever font there is."""
    lines = screen.rstrip("\n").split("\n")
    while lines and not re.sub(r"\x1b\[[0-9;]*m", "", lines[-1]).strip():
        lines.pop()
    columns = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
    width, height = columns * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
             f'width="{width:.0f}" height="{height:.0f}" font-family="ui-monospace, Menlo, '
             f"'DejaVu Sans Mono', monospace\" font-size=\"14\">",
             f"<title>{escape(title)}</title>",
             f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>']
    style = Style()
    for row, line in enumerate(lines):
        for column, text, attributes, is_reversed in runs_of(line, style):
            x, y = MARGIN + column * WIDTH, MARGIN + row * HEIGHT
            if is_reversed:
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{len(text) * WIDTH:.1f}" '
                             f'height="{HEIGHT}" fill="{TEXT}"/>')
            if text.strip():
                text = text.replace(" ", "\u00a0")  # plain ones would be drawn as one
                parts.append(f'<text x="{x:.1f}" y="{y + 13}" textLength="{len(text) * WIDTH:.1f}" '
                             f'lengthAdjust="spacingAndGlyphs" {attributes}>{escape(text)}</text>')
    return "\n".join([*parts, "</svg>", ""])
