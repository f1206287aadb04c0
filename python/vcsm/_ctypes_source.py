"""What ctypes calls a source, as an address or as bytes whose number is known.

Apart from the rest, for importing ctypes takes time.
"""

from __future__ import annotations

import ctypes
from typing import Any

_POINTERS: tuple[type, ...] = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_wchar_p,
    ctypes._Pointer,
    ctypes._CFuncPtr,  # type: ignore[attr-defined]
)
_REFERENCE = type(ctypes.byref(ctypes.c_int()))


def address_or_bytes(source: Any) -> tuple[int, memoryview | None]:
    """The address that ``source`` points to, or a flat view of the bytes that it is.

    Raises :exc:`ValueError` for a null pointer or bytes with gaps, :exc:`TypeError` for what is neither.
    """
    if isinstance(source, (*_POINTERS, _REFERENCE)):
        pointer: Any = source
        return _checked(ctypes.cast(pointer, ctypes.c_void_p).value), None
    if isinstance(source, int):
        return _checked(source), None
    try:
        view = memoryview(source)
    except TypeError:
        raise TypeError(
            f"cannot copy from a {type(source).__name__}: it is no ctypes object, pointer or address, and has no buffer"
        ) from None
    if not view.c_contiguous:
        raise ValueError("cannot copy from a buffer with gaps: copy_from_array() takes any array")
    # An element of 0 bytes (an empty structure) cannot be cast, and has nothing to be copied.
    return 0, view.cast("B") if view.nbytes > 0 else memoryview(b"")


def _checked(address: int | None) -> int:
    if not address:
        raise ValueError("cannot copy from a null pointer")
    if not 0 < address < 1 << (8 * ctypes.sizeof(ctypes.c_void_p)):
        raise ValueError(f"{address} is no address")
    return address
