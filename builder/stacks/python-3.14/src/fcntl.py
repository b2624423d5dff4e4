"""Stands in for the module `fcntl`: a dyno's files are its own, and it is the only process, so it has every lock."""

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = 0, 1, 2, 3, 4
FD_CLOEXEC = 1
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8


def flock(fd: object, operation: int) -> None:
    """Is always got."""


def lockf(fd: object, cmd: int, len: int = 0, start: int = 0, whence: int = 0) -> None:
    """Is always got."""


def fcntl(fd: object, cmd: int, arg: object = 0) -> int:
    """Flags of descriptors mean nothing where no program is started."""
    return 0


def ioctl(fd: object, request: int, arg: object = 0, mutate_flag: bool = True) -> int:
    """There are no devices."""
    raise OSError(25, "Inappropriate ioctl for device")
