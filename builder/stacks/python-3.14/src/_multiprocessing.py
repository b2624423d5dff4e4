"""Stands in for the native half of `multiprocessing`, so that it can be imported: there are no other processes."""


class SemLock:
    """Says why not."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, *_args: object, **_options: object) -> None:
        raise OSError(38, "multiprocessing takes processes, which are not there in a dyno")


def sem_unlink(name: str) -> None:
    """There is none."""


flags: dict[str, int] = {}
