"""The process's devices, and its blocks as a whole."""

from __future__ import annotations

from typing import NamedTuple, Optional

from vcsm import _core


class Device(NamedTuple):
    """A way to get blocks, and whether it can be used here and now."""

    name: str
    """What :func:`use` and the environment variable ``VCSM_DEVICE`` take."""
    node: str
    """The path that it opens; empty for the simulated device."""
    usable: bool
    """It could be opened."""
    why: str
    """Why not, or why it would not be chosen; empty otherwise."""
    chosen: bool
    """It is what this process has open, or would open now."""
    videocore_handle: bool
    """Its blocks have VideoCore handles."""
    bus_address: bool
    """Its blocks have bus addresses."""
    dmabuf: bool
    """Its blocks can be exported as dma-bufs, and dma-bufs imported."""
    host_cache: bool
    """It can give blocks that the CPU caches."""
    max_bytes: int
    """The largest block that its interface can express, in bytes."""


class Block(NamedTuple):
    """One of this process's blocks, as :func:`blocks` lists it."""

    handle: int
    name: str
    device: str
    size: int
    """In bytes, as asked for."""
    capacity: int
    """In bytes, as the kernel gave them."""
    granted_cache: str
    """Who caches it: ``"none"``, ``"host"``, ``"videocore"`` or ``"both"``."""
    locks: int
    """How often it is locked at this moment."""
    videocore_handle: Optional[int]
    """None where VideoCore does not know it."""
    bus_address: Optional[int]
    """None where VideoCore does not see it."""


def devices() -> list[Device]:
    """Every device that the library knows, in the order in which it would be chosen. Opens and closes each."""
    return [Device(*fields) for fields in _core.devices()]


def use(device: str) -> None:
    """Makes this process use ``device`` from now on, instead of what ``VCSM_DEVICE`` says or the first that opens.

    One of ``"vcsm-cma"``, ``"vcsm"``, ``"dma-heap"`` (or ``"dma-heap:HEAP"``), ``"udmabuf"``, ``"mailbox"``, ``"v3d"``
    and ``"simulated"``. Opens it. Raises :exc:`ValueError`, which lists the known ones, for any other;
    :exc:`vcsm.Error` where it cannot be opened, or (``errno.EBUSY``) where blocks live on another device.
    """
    _core.use(device)


def blocks() -> list[Block]:
    """The blocks of this process that are not freed, by handle: also those of C and C++ code in it."""
    return [Block(*fields) for fields in _core.blocks()]


for _public in (Device, Block, devices, use, blocks):
    _public.__module__ = "vcsm"
