"""The one kind of error that the lab raises: a sentence for a person."""


class LabError(Exception):
    """Says what failed, why, and what to do about it."""
