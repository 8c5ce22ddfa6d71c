"""Sizes are bytes inside; people write 512M or 1G."""

from .errors import LabError

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


def parse_size(text):
    if isinstance(text, int):
        return text
    number, unit = text.strip(), 1
    for suffix, factor in (("KiB", KiB), ("MiB", MiB), ("GiB", GiB),
                           ("K", KiB), ("M", MiB), ("G", GiB)):
        if number.endswith(suffix):
            number, unit = number[:-len(suffix)], factor
            break
    try:
        return int(float(number) * unit)
    except ValueError:
        raise LabError(f"'{text}' is not a size; write bytes or 512M, 1.5G") from None
