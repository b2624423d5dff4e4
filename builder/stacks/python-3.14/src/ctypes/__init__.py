"""Stands in for `ctypes`, which calls native libraries: there are none. Packages that import it for what they may never
use can do so; a library that is opened is not found, and whatever else is used says why not.
"""

DEFAULT_MODE = RTLD_LOCAL = 0
RTLD_GLOBAL = 256
SIZEOF_TIME_T = 8
_WHY = "ctypes calls native libraries, which are not there in a dyno"


class ArgumentError(Exception):
    """As everywhere."""


class _Type(type):
    def __call__(cls, *_args: object, **_options: object) -> object:
        raise NotImplementedError(_WHY)

    def __mul__(cls, length: int) -> type:
        return _Type(f"{cls.__name__}_Array_{length}", (Array,), {"_length_": length, "_type_": cls})

    __rmul__ = __mul__

    def __getattr__(cls, name: str) -> object:
        if name in ("from_address", "from_buffer", "from_buffer_copy", "from_param", "in_dll"):
            return _not_there
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class _SimpleCData(metaclass=_Type):
    """A number, a character or an address."""


class _Pointer(metaclass=_Type):
    """An address of something."""


class _CFuncPtr(metaclass=_Type):
    """A function."""


class Array(metaclass=_Type):
    """As everywhere."""


class Structure(metaclass=_Type):
    """As everywhere."""


class Union(metaclass=_Type):
    """As everywhere."""


class LittleEndianStructure(Structure):
    """As everywhere."""


class BigEndianStructure(Structure):
    """As everywhere."""


class LittleEndianUnion(Union):
    """As everywhere."""


class BigEndianUnion(Union):
    """As everywhere."""


for _name in (
    "bool byte ubyte char char_p wchar wchar_p short ushort int uint long ulong longlong ulonglong size_t ssize_t float "
    "double longdouble void_p voidp int8 int16 int32 int64 uint8 uint16 uint32 uint64 time_t"
).split():
    globals()[f"c_{_name}"] = _Type(f"c_{_name}", (_SimpleCData,), {})
py_object = _Type("py_object", (_SimpleCData,), {})


def _not_there(*_args: object, **_options: object) -> object:
    raise NotImplementedError(_WHY)


addressof = alignment = byref = cast = create_string_buffer = create_unicode_buffer = get_errno = memmove = memset = _not_there
memoryview_at = pointer = resize = set_errno = sizeof = string_at = wstring_at = _not_there


def POINTER(kind: type) -> type:  # noqa: N802
    """As everywhere."""
    return _Type(f"LP_{getattr(kind, '__name__', kind)}", (_Pointer,), {"_type_": kind})


def CFUNCTYPE(*_types: object, **_options: object) -> type:  # noqa: N802
    """As everywhere."""
    return _Type("CFunctionType", (_CFuncPtr,), {})


PYFUNCTYPE = CFUNCTYPE


class CDLL:
    """A library: there is none."""

    def __init__(self, name: object = None, *_args: object, **_options: object) -> None:
        raise OSError(f"cannot open shared object {name}: {_WHY}")


PyDLL = CDLL


class LibraryLoader:
    """As everywhere."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def LoadLibrary(self, name: str) -> object:  # noqa: N802
        """Never finds it."""
        return self._kind(name)


cdll, pydll = LibraryLoader(CDLL), LibraryLoader(PyDLL)


class _Function:
    restype = argtypes = errcheck = None
    __call__ = staticmethod(_not_there)


class _PythonApi:
    def __getattr__(self, name: str) -> _Function:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Function()


pythonapi = _PythonApi()
