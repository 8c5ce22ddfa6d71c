"""Real Linux guests for tests, under a private libvirtd; see README.md beside this package."""

from .errors import LabError
from .guest import Guest, Hog
from .lab import Lab, why_not
from .sizes import GiB, KiB, MiB, parse_size

__all__ = ["Guest", "GiB", "Hog", "KiB", "Lab", "LabError", "MiB", "parse_size", "why_not"]
