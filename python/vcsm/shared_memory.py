"""A block of memory that the CPU and VideoCore share."""

from __future__ import annotations

import os
from math import prod

from vcsm import _core
from vcsm._arguments import checked_cache, checked_name, extents, whole_number
from vcsm.view import View

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Protocol, SupportsIndex, TypeVar, overload

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from vcsm._places import DmabufLocation, Location

    class HasFileno(Protocol):
        """A file or socket, known by its descriptor."""

        def fileno(self) -> int: ...  # noqa: D102

    Target = TypeVar("Target")

_WRITES = {"r": False, "w": True, "rw": True}


class SharedMemory:
    """One block, zero at first, freed with this object, by :meth:`close`, or at the end of a ``with``.

    VideoCore may go on using a freed block that it was given before.

    >>> import vcsm
    >>> with vcsm.SharedMemory(3, "bytes") as block:
    ...     block.copy_from(b"abc")
    ...     block.copy_to()
    b'abc'

    The first block starts the service, which opens the device (see :func:`vcsm.use`); it is stopped when Python exits.
    Different threads may use one object at once.
    """

    __slots__ = ("__weakref__", "_block")
    _block: _core.Block

    def __init__(
        self, size: SupportsIndex, name: str = "", *, cache: str = "none", alignment: SupportsIndex = 1
    ) -> None:
        """Allocates a block.

        :param size: in bytes, from 1 on; any int, NumPy's too.
        :param name: for people and logs; kept whole here, while the kernel's interfaces keep 31 bytes of it.
        :param cache: who shall cache it: ``"none"``, ``"host"`` (the CPU: fast to read, and locking moves the data),
            ``"videocore"`` or ``"both"``. A device that cannot do that gives another; see :attr:`granted_cache`.
        :param alignment: of its bus address where it has one, else of the CPU's, in bytes: a power of two.

        Raises :exc:`ValueError` and :exc:`TypeError` for arguments that no device could fulfil (a size of 0, negative,
        beyond what the device's interface can express, or no whole number; a name with NUL), :exc:`vcsm.OutOfMemory`
        where there is no room, :exc:`vcsm.Error` where the device refuses. Then nothing is allocated.
        """
        self._block = _core.Block(
            whole_number(size, "a size"),
            checked_name(name),
            checked_cache(cache),
            whole_number(alignment, "an alignment"),
        )

    @classmethod
    def _of(cls, block: _core.Block) -> Self:
        made = cls.__new__(cls)
        made._block = block
        return made

    @classmethod
    def from_dmabuf(cls, fd: int | HasFileno, name: str = "", *, size: SupportsIndex | None = None) -> Self:
        """The block that a dma-buf descriptor stands for; the descriptor stays the caller's.

        :param fd: the descriptor, or an object with ``fileno()``.
        :param size: how many of its bytes, where the exporter's block is smaller than the whole pages it lies in.

        Raises :exc:`ValueError` for more bytes than there are, :exc:`vcsm.Error` where it is no dma-buf or the device
        cannot import it. On the simulated device these descriptors are memfds, and only those that another simulated
        VideoCore exported can be imported.
        """
        descriptor = fd if isinstance(fd, int) else fd.fileno()
        if not 0 <= descriptor < 2**31:
            raise ValueError(f"{descriptor} is no descriptor")
        wanted = 0 if size is None else whole_number(size, "a size")
        if size is not None and wanted == 0:
            raise ValueError("a block has at least 1 byte")
        return cls._of(_core.Block.from_dmabuf(descriptor, checked_name(name), wanted))

    def share(self) -> Self:
        """A second object, with a handle of its own, on the same block, which is freed with the last of them."""
        return self._of(self._block.share())

    def close(self) -> None:
        """Frees the block; the second time does nothing. A block of a pool goes back to it, a ring's is not freed.

        A lock of it that is still held, and NumPy arrays that still show it, keep its memory mapped until they end;
        VideoCore's handle and the descriptor go at once.
        """
        self._block.close()

    @property
    def closed(self) -> bool:
        """Whether the block is gone: by :meth:`close`, because the service was stopped, or in the child of a fork."""
        return self._block.closed

    def __enter__(self) -> Self:
        _ = self._block.size  # raises for a block that is closed
        return self

    # The extension's: nothing can be raised before the block is freed.
    __exit__ = _core.close_at_exit

    @property
    def size(self) -> int:
        """Bytes asked for."""
        return self._block.size

    @property
    def capacity(self) -> int:
        """Bytes that are the block's: what the kernel gave, whole pages, or what a pool gave.

        Copies and locks are bounded by :attr:`size`, not by this.
        """
        return self._block.capacity

    @property
    def name(self) -> str:
        """Whole, as it was given."""
        return self._block.name

    @property
    def device(self) -> str:
        """The name of the device that it is on, such as ``"vcsm-cma"``."""
        return self._block.device

    @property
    def handle(self) -> int:
        """The number that this process knows the block by, in C, C++ and Python: opaque, from 1 to 2**31 - 1."""
        return self._block.handle

    @property
    def videocore_handle(self) -> int:
        """The number that VideoCore knows the block by, which MMAL parameters take.

        Raises :exc:`vcsm.NotSupported` on devices whose blocks VideoCore does not know, and for a block of a pool that
        does not start its allocation: there, take :meth:`location`.
        """
        return self._block.videocore_handle

    def location(self) -> Location:
        """The same, and where the block starts in it: offset 0 but for blocks of a pool.

        Raises :exc:`vcsm.NotSupported` on devices whose blocks VideoCore does not know.
        """
        from vcsm._places import Location

        return Location(*self._block.location())

    @property
    def bus_address(self) -> int:
        """Where VideoCore sees the block. Raises :exc:`vcsm.NotSupported` where it does not."""
        return self._block.bus_address

    @property
    def granted_cache(self) -> str:
        """Who really caches it, whatever was asked for: ``"none"``, ``"host"``, ``"videocore"`` or ``"both"``."""
        return self._block.granted_cache

    def fileno(self) -> int:
        """The block's own dma-buf descriptor, there for as long as the block; not the caller's to close.

        Raises :exc:`vcsm.NotSupported` where there is none, and for a block of a pool that does not start its
        allocation: there, take :meth:`dmabuf_location`.
        """
        return self._block.dmabuf

    def dmabuf_location(self) -> DmabufLocation:
        """The same, and where the block starts in it: offset 0 but for blocks of a pool.

        Raises :exc:`vcsm.NotSupported` where there is none.
        """
        from vcsm._places import DmabufLocation

        return DmabufLocation(*self._block.dmabuf_location())

    def export(self) -> int:
        """A new dma-buf descriptor, close-on-exec, that the caller owns: the memory lives until it is closed.

        Another process imports it with :meth:`from_dmabuf`. Raises :exc:`vcsm.NotSupported` where there is none.
        """
        return self._block.export_dmabuf()

    def lock(self, mode: Literal["r", "w", "rw"] = "rw") -> View:
        """Locks the block for the CPU and gives its bytes; use it with ``with``, which unlocks.

        :param mode: ``"r"``: the view is read-only. ``"w"`` and ``"rw"``: it can be read and written, and what was
            written is with VideoCore when the lock ends.

        Locks nest, also across threads: the last one to end ends the CPU's access. Raises :exc:`vcsm.Error` where the
        device refuses; then nothing is locked.
        """
        writes = _WRITES.get(mode)
        if writes is None:
            raise ValueError(f"unknown mode {mode!r} of a lock: known are 'r', 'w' and 'rw'")
        return View(self._block, writes)

    def copy_from(self, source: Any, offset: SupportsIndex = 0) -> None:
        """Locks, copies all of ``source`` to ``offset`` bytes into the block, unlocks.

        :param source: anything that has a buffer or speaks DLPack on the CPU: bytes, bytearray, array.array,
            memoryview, ctypes, NumPy arrays of any dtype, shape, strides and order, tensors. Elements are copied in C
            order, straight into the block; their byte order is kept.

        Raises :exc:`TypeError` for what has no bytes in memory (a list, an array of Python objects), :exc:`ValueError`
        for more bytes than fit, and :exc:`vcsm.Error` where the device refuses. The block is unlocked all the same.
        """
        self._block.copy_from(source, whole_number(offset, "an offset"))

    if TYPE_CHECKING:

        @overload
        def copy_to(self, target: None = None, offset: SupportsIndex = 0) -> bytes: ...
        @overload
        def copy_to(self, target: Target, offset: SupportsIndex = 0) -> Target: ...
        @overload
        def copy_to(
            self,
            target: None = None,
            offset: SupportsIndex = 0,
            *,
            dtype: npt.DTypeLike = ...,
            shape: SupportsIndex | Sequence[SupportsIndex] | None = ...,
        ) -> np.ndarray[Any, Any]: ...

    def copy_to(
        self,
        target: Any = None,
        offset: SupportsIndex = 0,
        *,
        dtype: Any = None,
        shape: SupportsIndex | Sequence[SupportsIndex] | None = None,
    ) -> Any:
        """Locks, copies out what is in the block from ``offset`` bytes on, unlocks.

        ``copy_to()`` gives :class:`bytes`. With ``dtype`` or ``shape`` it gives a new NumPy array (of ``uint8`` if only
        ``shape`` is given, of one dimension if only ``dtype`` is). With ``target``, a writable object of any kind that
        :meth:`copy_from` takes, it fills all of that, in C order, and gives it back.

        Raises :exc:`ValueError` for more than there is or a read-only target, :exc:`TypeError` for a target without
        bytes in memory, :exc:`ImportError` for an array without NumPy, and :exc:`vcsm.Error` where the device refuses.
        """
        start = whole_number(offset, "an offset")
        if target is not None:
            if dtype is not None or shape is not None:
                raise TypeError("copy_to() takes a target, or dtype and shape for a new array, not both")
            self._block.copy_to(target, start)
            return target
        if dtype is None and shape is None:
            return self._block.to_bytes(start)
        return self._to_new_array("uint8" if dtype is None else dtype, shape, start)

    def _to_new_array(
        self, dtype: npt.DTypeLike, shape: SupportsIndex | Sequence[SupportsIndex] | None, offset: int
    ) -> np.ndarray[Any, Any]:
        import numpy as np

        kind = np.dtype(dtype)
        if kind.hasobject:
            raise TypeError(f"VideoCore memory holds bytes, not Python objects: {kind} cannot be the dtype of a copy")
        if kind.itemsize == 0:
            raise ValueError(f"the dtype {kind} has elements of 0 bytes")
        form = extents(shape, max(self.size - offset, 0) // kind.itemsize)
        wanted = prod(form) * kind.itemsize
        if wanted > self.size - offset:  # before NumPy finds memory for it
            raise ValueError(
                f"an array of {wanted} bytes at offset {offset} is more than block {self.name!r} has: {self.size} bytes"
            )
        made = np.empty(form, kind)
        self._block.copy_to(made, offset)
        return made

    def resize(self, size: SupportsIndex) -> None:
        """Gives the block another size in bytes; the content is kept up to the smaller of both, the rest is zero.

        The handle stays; VideoCore's handle and the bus address become others. Raises :exc:`vcsm.Error`
        (``errno.EBUSY``) for a locked block, and what making a block raises; then it is as it was.
        """
        self._block.resize(whole_number(size, "a size"))

    def __repr__(self) -> str:
        if self.closed:
            return f"<vcsm.SharedMemory {self.name!r}, closed>"
        return f"<vcsm.SharedMemory {self.name!r}, {self.size} bytes, handle {self.handle}, on {self.device}>"

    def __reduce__(self) -> Any:
        """A block is pickled as its dma-buf descriptor: through :mod:`multiprocessing`, to a process on this machine.

        The other process imports it; on the simulated device its VideoCore is its own, and the memory is shared.
        """
        from multiprocessing import reduction

        return _attach, (type(self), reduction.DupFd(self.fileno()), self.name, self.size)


def _attach(cls: type[SharedMemory], sent: Any, name: str, size: int) -> SharedMemory:
    descriptor = sent.detach()
    try:
        return cls.from_dmabuf(descriptor, name, size=size)
    finally:
        os.close(descriptor)


SharedMemory.__module__ = "vcsm"
