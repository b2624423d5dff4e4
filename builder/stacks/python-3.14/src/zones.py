"""Time zones for `zoneinfo`, which has neither files of the system nor, mostly, the package `tzdata` here."""

import io
import marshal
import zlib
import zoneinfo
from zoneinfo import _common, _tzpath

_packed = b""
_zones: dict[str, bytes] | None = None


def _all() -> dict[str, bytes]:
    global _zones
    if _zones is None:
        _zones = marshal.loads(zlib.decompress(_packed))
    return _zones


def _load(key: str) -> io.BytesIO:
    """In the place of `zoneinfo._common.load_tzdata`: the app's own `tzdata` comes first."""
    try:
        return _of_package(key)
    except zoneinfo.ZoneInfoNotFoundError:
        if key not in _all():
            raise
        return io.BytesIO(_all()[key])


def _available() -> set[str]:
    return _of_packages() | set(_all())


_of_package = _common.load_tzdata
_of_packages = _tzpath.available_timezones


def install(path: str) -> None:
    """Reads what `pack.py` made, which is part of the component from then on."""
    global _packed
    with open(path, "rb") as file:
        _packed = file.read()
    _common.load_tzdata = _load
    zoneinfo.available_timezones = _tzpath.available_timezones = _available
