"""The shared memory of picamera forks with lens shading, importable as ``picamera.vcsmobj`` too.

Everything here is in terms of :class:`vcsm.SharedMemory`, which new programs use instead.

>>> from picamera.vcsmobj import VideoCoreSharedMemory
>>> import numpy as np
>>> w = 10
>>> h = 10
>>> data_to_send = np.ones((w, h), dtype=np.uint8)
>>> shared_mem = VideoCoreSharedMemory(w*h, "test_data")
>>> shared_mem.copy_from_array(data_to_send)
"""

from __future__ import annotations

import warnings
from threading import Lock

from vcsm import _core
from vcsm._arguments import whole_number
from vcsm._errors import Error
from vcsm.shared_memory import SharedMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

__all__ = [
    "VideoCoreSharedMemory",
    "VideoCoreSharedMemoryServiceManager",
    "ensure_vcsm_init",
    "vcsm_exit",
]


class VideoCoreSharedMemory:
    """A block of ``size`` bytes, named ``name``, freed when this object is garbage-collected.

    VideoCore goes on using a block that it was given, as the lens-shading table of a running camera: the object may be
    dropped as soon as the parameter is set.

    Making one starts the service if need be. Raises :exc:`ValueError` and :exc:`TypeError` for arguments that no device
    could fulfil, :exc:`vcsm.OutOfMemory` where there is no room, :exc:`vcsm.Error` where the device refuses; then
    nothing is allocated.
    """

    __slots__ = ("__weakref__", "_block", "_shared")

    def __init__(self, size: SupportsIndex, name: str) -> None:
        self._shared = SharedMemory(size, name)
        self._block = self._shared._block

    @property
    def handle(self) -> int:
        """The number that this process knows the block by, above 0: what the C functions ``vcsm_*`` take."""
        return self._block.handle

    @property
    def videocore_handle(self) -> int:
        """The number that VideoCore knows the block by, above 0.

        It goes into ``mem_handle_table`` of ``MMAL_PARAMETER_LENS_SHADING_T``. Raises :exc:`vcsm.NotSupported` on
        devices whose blocks VideoCore does not know.
        """
        return self._block.videocore_handle

    @property
    def shared_memory(self) -> SharedMemory:
        """The same block with all that :class:`vcsm.SharedMemory` has."""
        return self._shared

    def lock(self) -> _LockedAddress:
        """A context manager that locks the block and gives its address, an int; it unlocks on the way out.

        >>> import ctypes
        >>> shared_mem = VideoCoreSharedMemory(5, "hello")
        >>> with shared_mem.lock() as pointer:
        ...     _ = ctypes.memmove(pointer, b"hello", 5)

        ``pointer + offset`` addresses the bytes behind, up to the block's size; nobody checks it. Raises
        :exc:`vcsm.Error` where the device refuses; then nothing is locked.
        """
        return _LockedAddress(self._block)

    def copy_from_buffer(self, source: Any, size: SupportsIndex | None = None, warn_if_small: bool = True) -> None:
        """Locks, copies ``size`` bytes of ``source`` to the block's beginning, unlocks.

        :param source: a ctypes object (an array, a structure), a pointer (``c_void_p``, ``POINTER(T)``, ``byref()``),
            an address as an int, or anything with a contiguous buffer.
        :param size: in bytes; without it, as many as the block has.
        :param warn_if_small: whether a ``size`` below the block's is a :exc:`UserWarning`.

        Raises :exc:`ValueError` for more bytes than the block or the source has, where the source's size is known; that
        of a pointer is not, and must be right. Then nothing is copied.
        """
        there = self._block.size
        wanted = there if size is None else whole_number(size, "a size")
        if wanted > there:
            raise ValueError(
                f"cannot copy {wanted} bytes: block {self._block.name!r} has {there} bytes; nothing was copied"
            )
        from vcsm._ctypes_source import address_or_bytes

        address, known = address_or_bytes(source)
        if known is not None and known.nbytes < wanted:
            if size is None:
                remedy = f"copy_from_buffer(source, {known.nbytes}) copies what there is"
            else:
                remedy = "ask for no more"
            raise ValueError(
                f"cannot copy {wanted} bytes to block {self._block.name!r}: the source has {known.nbytes} bytes, and "
                f"what lies behind is not its own; {remedy}"
            )
        if wanted < there and warn_if_small:
            warnings.warn(
                f"copying {wanted} bytes to block {self._block.name!r} of {there} bytes leaves the rest as it is; "
                "warn_if_small=False says that this is meant",
                UserWarning,
                stacklevel=2,
            )
        if known is not None:
            self._block.copy_from(known[:wanted], 0)
        else:
            self._block.copy_from_address(address, wanted, 0)

    def copy_from_memoryview(self, source: memoryview) -> None:
        """Locks, copies a contiguous memoryview of any format, read-only or not, to the block's beginning, unlocks.

        Raises :exc:`ValueError` for anything else, and for more bytes than the block has. Then nothing is copied.
        """
        if not isinstance(source, memoryview):
            raise ValueError(f"copy_from_memoryview() takes a memoryview, not a {type(source).__name__}")
        if not source.contiguous:
            raise ValueError("copy_from_memoryview() takes a contiguous memoryview; copy_from_array() takes any array")
        self._block.copy_from(source, 0)

    def copy_from_array(self, source: Any) -> None:
        """Locks, copies a NumPy array of any dtype, shape, strides and order to the block's beginning, unlocks.

        All its ``nbytes`` bytes are copied, elements in C order, their byte order untouched. Raises :exc:`ValueError`
        for more bytes than the block has, :exc:`TypeError` for an array of Python objects or what is no array. Then
        nothing is copied.
        """
        self._block.copy_from(source, 0)

    def __repr__(self) -> str:
        shown = repr(self._shared)
        return shown.replace("vcsm.SharedMemory", type(self).__name__, 1)

    def __reduce__(self) -> Any:
        return _around, (type(self), self._shared)


def _around(cls: type[VideoCoreSharedMemory], shared: SharedMemory) -> VideoCoreSharedMemory:
    made = cls.__new__(cls)
    made._shared = shared
    made._block = shared._block
    return made


class _LockedAddress:
    """What :meth:`VideoCoreSharedMemory.lock` gives."""

    __slots__ = ("_block", "_view")

    def __init__(self, block: _core.Block) -> None:
        self._block = block
        self._view: _core.View | None = None

    def __enter__(self) -> int:
        if self._view is not None:
            raise RuntimeError("this lock is taken already: call lock() for another")
        view = _core.View(self._block, True)
        self._view = view
        return view.address

    # The extension's: nothing can be raised before the block is unlocked.
    __exit__ = _core.unlock_at_exit


class VideoCoreSharedMemoryServiceManager:
    """Starts the service, and holds it until :meth:`exit`, or until this object is garbage-collected.

    The service stops with the last that holds it, which frees all blocks of this process. Raises :exc:`vcsm.Error`
    where no device can be used.
    """

    __slots__ = ("__weakref__", "_run")

    def __init__(self) -> None:
        self._run: int | None = None
        self._run = _core.hold_service()

    def exit(self) -> None:
        """Lets go of the service. The second time is a :exc:`vcsm.Error`."""
        if self._run is None:
            import errno

            raise Error(
                errno.EINVAL, "cannot stop the service: this manager has let go of it already; make a new manager"
            )
        run, self._run = self._run, None
        _core.let_go_of_service(run)

    def __del__(self) -> None:
        if getattr(self, "_run", None) is not None:
            self.exit()


_init_lock = Lock()
_held_run: int | None = None  # the run of the service that ensure_vcsm_init() holds


def ensure_vcsm_init() -> None:
    """Starts the service if it is not running, and keeps it running until :func:`vcsm_exit` or Python's end.

    It may be called any number of times, and need not be called at all: the first block starts the service too. Raises
    :exc:`vcsm.Error` where no device can be used.
    """
    global _held_run
    with _init_lock:
        run = _core.hold_service()
        if run == _held_run:
            _core.let_go_of_service(run)  # this run is held already, once
        _held_run = run


def vcsm_exit() -> None:
    """Stops the service, whoever holds it, which frees all blocks of this process. A warning where it is not running.

    Objects that are left say so when used. It may be started again any number of times.
    """
    global _held_run
    with _init_lock:
        _held_run = None
        if not _core.service_running():
            warnings.warn("the VCSM service is not running: there is nothing to stop", UserWarning, stacklevel=2)
            return
        _core.stop_service()
