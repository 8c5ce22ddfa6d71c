#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A manual page from one of docs/*.md, so that protocols and file formats are described once:
from_markdown.py NAME SECTION SUMMARY FILE.md, and scdoc makes of the output what man reads. It knows
the Markdown that these files use: headings, paragraphs, lists, tables, blocks of code, and inside a
line code, strong words and links.
"""

import re
import sys

PAGES = {"protocol.md": "memctl-protocol(7)", "agent-protocol.md": "memctl-agent-protocol(7)",
         "metrics.md": "memctl-metrics(7)", "writing-a-policy.md": "memctl-policy(7)",
         "history.md": "memctl-history(5)", "simulation.md": "memctl-scenario(5)",
         "recording.md": "memctl-recording(5)"}
INLINE = re.compile(r"!\[[^]]*\]\([^)]*\)|`[^`]+`|\*\*.+?\*\*|\[[^]]+\]\([^)]*\)|<https?://[^>]+>")


def escape(text):
    return re.sub(r"([\\*_`])", r"\\\1", text)


def inline(text):
    """Links to what is a manual page as well are told as such, others by their words."""
    out, at = [], 0
    for found in INLINE.finditer(text):
        out.append(escape(text[at:found.start()]))
        word, at = found[0], found.end()
        if word.startswith("`"):
            out.append(f"*{escape(word[1:-1])}*")
        elif word.startswith("**"):
            out.append(f"*{escape(word[2:-2].replace('`', ''))}*")
        elif word.startswith("["):
            words, target = re.fullmatch(r"\[([^]]+)\]\(([^)]*)\)", word, re.S).groups()
            page = PAGES.get(target.partition("#")[0])
            words = escape(words.replace("`", ""))
            out.append(f"{words} ({escape(page)})" if page and page not in words else words)
        elif word.startswith("<"):
            out.append(escape(word[1:-1]))
    return "".join(out) + escape(text[at:])


def line(text):
    """A whole paragraph; what would begin something else at the start of a line does not."""
    text = inline(" ".join(text.split()))
    return re.sub(r"^([-.#|\[\];:!<>])", r"\\\1", text)


def cells(row):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip()[1:-1])]


def plain(text):
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text).replace("`", "").replace("**", "")


def columns(rows):
    """As it is, each column as wide as its widest cell: a table of groff's warns of every narrow one."""
    rows = [[plain(cell) for cell in row] for row in rows if any(row)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join(["```", *(line.rstrip() for line in lines), "```"])


def terms(head, body):
    """What is described, what is short of it in parentheses, and the description below."""
    out = []
    long = any(len(cell) > 30 for row in body for cell in row[1:-1])
    for first, *middle, last in body:
        if long:
            named = [f"{name}: {cell}" for name, cell in zip(head[1:], [*middle, last]) if cell]
            middle, last = [], "; ".join(named)
        more = ", ".join(inline(cell) for cell in middle if cell)
        out.append(inline(first) + (f" ({more})" if more else "") + f"\n\t{line(last)}\n")
    return "\n".join(out)


def table(rows):
    """Sentences are no matter for columns; numbers are."""
    head, body = cells(rows[0]), [cells(row) for row in rows[2:]]
    if len(head) == 2 and not head[1] or max(len(row[-1]) for row in body) > 40:
        return terms(head, body)
    return columns([head, *body])


def blocks(text):
    """(kind, lines) of what empty lines, indentation and marks part."""
    lines, kind, block = text.split("\n"), None, []
    for raw in [*lines, ""]:
        if kind == "fence":
            if raw.startswith("```"):
                yield "code", block
                kind, block = None, []
            else:
                block.append(raw)
            continue
        if kind == "code" and (raw.startswith("    ") or not raw):
            block.append(raw[4:])
            continue
        if block and (not raw or kind == "code"):
            yield kind, block
            kind, block = None, []
        if raw.startswith("```"):
            kind = "fence"
        elif not raw:
            continue
        elif not block:
            kind = ("code" if raw.startswith("    ") else "head" if raw.startswith("#") else
                    "table" if raw.startswith("|") else
                    "list" if re.match(r"(-|\d+\.) ", raw) else "text")
            block = [raw[4:] if kind == "code" else raw]
        else:
            block.append(raw)
    if block:
        yield "code" if kind == "fence" else kind, block


def items(lines):
    out = []
    for raw in lines:
        if re.match(r"(-|\d+\.) ", raw):
            out.append(raw)
        else:
            out[-1] += " " + raw.strip()
    return "\n".join(("- " if item.startswith("- ") else ". ") + line(item.partition(" ")[2])
                     for item in out)


def page(name, section, summary, text):
    yield f'{name}({section})\n\n# NAME\n\n{name} - {summary}\n\n# DESCRIPTION\n'
    for kind, lines in blocks(text):
        if kind == "head":
            level, _, title = lines[0].partition(" ")
            if len(level) > 1:
                title = escape(title.replace("`", ""))
                yield f"{level[1:]} {title.upper() if len(level) == 2 else title}\n"
        elif kind == "code":
            while lines and not lines[-1]:
                lines.pop()
            yield "```\n" + "\n".join(lines) + "\n```\n"
        elif kind == "table":
            yield table(lines) + "\n"
        elif kind == "list":
            yield items(lines) + "\n"
        elif line(" ".join(lines)):
            yield line(" ".join(lines)) + "\n"
    yield "# SEE ALSO\n\n*memctl*(1), *memctld*(8), *memctld.conf*(5)"


if __name__ == "__main__":
    with open(sys.argv[4], encoding="utf-8") as file:
        print("\n".join(page(*sys.argv[1:4], file.read())))
