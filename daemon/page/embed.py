#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The page as C: embed.py OUTPUT.c PAGE.html STYLE.css SCRIPT.js... Style and scripts go into the page
itself, and their hashes into its policy. The same sources give the same bytes.
"""

import base64
import gzip
import hashlib
import sys
from pathlib import Path


def in_policy(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def as_bytes(name, data):
    lines = (", ".join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24))
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def main():
    output, page, style, *scripts = (Path(argument) for argument in sys.argv[1:])
    css = style.read_text(encoding="utf-8")
    js = '"use strict";\n' + "".join(script.read_text(encoding="utf-8") for script in scripts)
    html = page.read_text(encoding="utf-8")
    for mark, text in (("/*STYLE*/", css), ("/*SCRIPT*/", js)):
        assert html.count(mark) == 1, mark
        assert "</" + "script" not in text and "</" + "style" not in text
        html = html.replace(mark, text)
    plain = html.encode()
    packed = gzip.compress(plain, 9, mtime=0)
    policy = "; ".join((
        "default-src 'none'", f"script-src {in_policy(js)}", f"style-src {in_policy(css)}",
        "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'"))
    tag = hashlib.sha256(plain).hexdigest()[:24]
    output.write_text(
        '#include "page.h"\n\n' + as_bytes("plain", plain) + as_bytes("packed", packed) +
        f'const struct page_form page_plain = {{plain, sizeof(plain), "\\"{tag}\\""}};\n'
        f'const struct page_form page_gzip = {{packed, sizeof(packed), "\\"{tag}-gzip\\""}};\n'
        f'const char page_policy[] = "{policy}";\n')


if __name__ == "__main__":
    main()
