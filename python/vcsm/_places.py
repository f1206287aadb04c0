"""Where blocks lie that are parts of a larger allocation."""

from __future__ import annotations

from typing import NamedTuple


class Location(NamedTuple):
    """Where a block lies in the memory that VideoCore knows by one handle."""

    videocore_handle: int
    """Of that memory."""
    offset: int
    """Bytes from its start."""


class DmabufLocation(NamedTuple):
    """Where a block lies in the memory that one dma-buf descriptor stands for."""

    descriptor: int
    """Of that memory; not the caller's to close."""
    offset: int
    """Bytes from its start."""


for _public in (Location, DmabufLocation):
    _public.__module__ = "vcsm"
