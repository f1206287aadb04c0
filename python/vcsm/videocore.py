"""VideoCore's side of the simulated device: for tests of programs that give data to VideoCore.

Each process has its own simulated VideoCore; under ``vcsm-sim``, all its programs share one, and these functions reach
that. On a real Raspberry Pi they raise :exc:`vcsm.NotSupported`: no program can ask the real VideoCore this.

>>> import vcsm
>>> with vcsm.SharedMemory(3, "bytes") as block:
...     block.copy_from(b"abc")
...     vcsm.videocore.read(block.videocore_handle)
b'abc'
"""

from __future__ import annotations

import builtins
import errno
from typing import Any, NamedTuple, SupportsIndex

from vcsm import _core
from vcsm._arguments import checked_handle, whole_number
from vcsm._errors import Error

__all__ = ["Block", "hold", "list", "read", "release", "reset", "write"]


class Block(NamedTuple):
    """One block as VideoCore sees it."""

    videocore_handle: int
    name: str
    size: int
    """In bytes, as asked for."""
    capacity: int
    """In bytes, as taken from VideoCore's memory: whole pages."""
    bus_address: int
    cache: str
    """Who caches it: ``"none"``, ``"host"``, ``"videocore"`` or ``"both"``."""
    locks: int
    """How often the program has it locked now."""
    held: int
    """VideoCore's own references, as :func:`hold` made them."""
    allocated: bool
    """Whether the program has not freed it."""


def read(videocore_handle: SupportsIndex, offset: SupportsIndex = 0, size: SupportsIndex | None = None) -> bytes:
    """What VideoCore sees, from ``offset`` bytes into the block on: ``size`` bytes, or up to the size asked for.

    Raises :exc:`vcsm.Error`: ``errno.ENOENT`` for a handle that VideoCore does not know, ``errno.EINVAL`` for bytes
    beyond the block's capacity.
    """
    handle = checked_handle(videocore_handle)
    start = whole_number(offset, "an offset")
    wanted = max(_size_of(handle) - start, 0) if size is None else whole_number(size, "a size")
    if wanted > 1 << 40:  # more than any VideoCore has: told apart before memory is found for it
        raise Error(errno.EINVAL, f"cannot read {wanted} bytes as VideoCore: no block has as many")
    into = bytearray(wanted)
    _core.videocore_read(handle, start, into)
    return bytes(into)


def _size_of(handle: int) -> int:
    for known in list():
        if known.videocore_handle == handle:
            return known.size
    return 0  # and reading says that it is unknown


def write(videocore_handle: SupportsIndex, data: Any, offset: SupportsIndex = 0) -> None:
    """Writes ``data``, anything with a buffer, ``offset`` bytes into the block, as VideoCore would.

    The CPU sees it after the next lock (of a block that the CPU caches) or at once (of others). Raises as
    :func:`read` does.
    """
    handle = checked_handle(videocore_handle)
    _core.videocore_write(handle, whole_number(offset, "an offset"), memoryview(data).tobytes())


def hold(videocore_handle: SupportsIndex) -> None:
    """VideoCore takes a reference of its own: the block stays alive when the program frees it. Calls count.

    Raises :exc:`vcsm.Error` (``errno.ENOENT``) for a handle that VideoCore does not know.
    """
    _core.videocore_hold(checked_handle(videocore_handle))


def release(videocore_handle: SupportsIndex) -> None:
    """Gives one such reference back. Raises :exc:`vcsm.Error` (``errno.EINVAL``) where VideoCore has none."""
    _core.videocore_release(checked_handle(videocore_handle))


def list() -> builtins.list[Block]:
    """All blocks that VideoCore knows, by handle: also those that the program freed and VideoCore holds."""
    return [Block(*fields) for fields in _core.videocore_list()]


def reset() -> None:
    """Forgets this process's simulated VideoCore; the next block is made in a new one.

    That one is made as ``VCSM_SIM_MEMORY`` and ``VCSM_SIM_FAULTS`` say then. Stops the service first, so that all
    blocks of this process are freed.
    """
    _core.videocore_reset()
