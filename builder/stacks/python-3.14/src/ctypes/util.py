"""Stands in for `ctypes.util`: there are no libraries to find."""


def find_library(name: str) -> None:
    """None is found."""
