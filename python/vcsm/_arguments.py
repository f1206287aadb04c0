"""Arguments, judged before a device is asked."""

from __future__ import annotations

import sys
from operator import index

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, SupportsIndex


CACHE_MODES = ("none", "host", "videocore", "both")


def whole_number(value: SupportsIndex, what: str, unit: str = " bytes") -> int:
    """``value`` as an int from 0 on that a size can be.

    Raises :exc:`TypeError` for what is no whole number (a float), :exc:`ValueError` for one that is negative or beyond
    all memory. ``what`` and ``unit`` name it in the message.
    """
    try:
        number = index(value)
    except TypeError:
        of = f" of{unit}" if unit else ""
        raise TypeError(f"{what} is a whole number{of}, not a {type(value).__name__}: {value!r}") from None
    if number < 0:
        raise ValueError(f"{what} of {number}{unit}: it cannot be negative")
    if number > sys.maxsize:
        raise ValueError(f"{what} of {number}{unit}: no machine has as many, at most {sys.maxsize} can be asked for")
    return number


def checked_cache(cache: str) -> str:
    """``cache``, if it is a cache mode's name, else :exc:`ValueError`, which lists them."""
    if cache not in CACHE_MODES:
        raise ValueError(f"unknown cache mode {cache!r}: known are {', '.join(CACHE_MODES)}")
    return cache


def checked_name(name: str) -> str:
    """``name``, if it can be a block's: any text without NUL.

    Raises :exc:`TypeError` for anything but a str, :exc:`ValueError` for a NUL or for text that is not valid Unicode.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a block is a str, not a {type(name).__name__}: {name!r}")
    if "\0" in name:
        raise ValueError(f"the name of a block cannot have a NUL in it: {name!r}")
    name.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
    return name


def checked_handle(handle: SupportsIndex) -> int:
    """``handle`` as an int that a VideoCore handle can be, else :exc:`ValueError` or :exc:`TypeError`."""
    try:
        number = index(handle)
    except TypeError:
        raise TypeError(f"a VideoCore handle is an int, not a {type(handle).__name__}: {handle!r}") from None
    if not 0 < number < 2**32:
        raise ValueError(f"a VideoCore handle is a number from 1 to {2**32 - 1}, not {number}")
    return number


def extents(shape: SupportsIndex | Sequence[SupportsIndex] | None, all_there_are: int) -> tuple[int, ...]:
    """A shape, as NumPy takes it, as a tuple; None is one dimension of ``all_there_are`` elements.

    Raises :exc:`TypeError` for what is none, :exc:`ValueError` for negative numbers.
    """
    if shape is None:
        return (all_there_are,)
    several: Any = shape
    try:
        found: tuple[int, ...] = (index(several),)
    except TypeError:
        try:
            found = tuple(index(extent) for extent in several)
        except TypeError:
            raise TypeError(f"a shape is a whole number or a tuple of them, not {shape!r}") from None
    if any(extent < 0 for extent in found):
        raise ValueError(f"a shape has no negative numbers: {shape!r}")
    return found
