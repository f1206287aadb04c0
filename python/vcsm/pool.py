"""Blocks that cost nothing: carved from large allocations of the driver's, and used again."""

from __future__ import annotations

from typing import NamedTuple

from vcsm import _core
from vcsm._arguments import checked_cache, checked_name, whole_number
from vcsm.shared_memory import SharedMemory

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from typing import SupportsIndex

    from typing_extensions import Self


class PoolStatistics(NamedTuple):
    """What is in a pool, in bytes unless it says otherwise; ``used + free == capacity``."""

    blocks: int
    """That live, their number."""
    used: int
    """That they have."""
    free: int
    """That new ones can have."""
    largest_free: int
    """The largest piece of it."""
    peak: int
    """The most that was ever used. Where several threads use the pool at a time, each may miss up to 1 MiB."""
    capacity: int
    """That the pool has of the driver's."""
    allocations: int
    """Of the driver's, their number."""

    @property
    def fragmentation(self) -> float:
        """From 0, all that is free is one piece, to almost 1, it is crumbs."""
        return 1 - self.largest_free / self.free if self.free > 0 else 0.0


class Pool:
    """A pool of blocks: allocating one and freeing it takes no system call.

    >>> import vcsm
    >>> with vcsm.Pool(1 << 20, "frames") as frames:
    ...     with frames.allocate(1000) as frame:
    ...         frame.copy_from(b"picture")
    ...         handle, offset = frame.location()     # many blocks have one VideoCore handle
    ...     frames.statistics().blocks
    0

    **A block goes back when it is closed, or its object is gone. For a block of a pool that means "VideoCore is done
    with it":** the next block may lie there at once, while VideoCore goes on reading what it was told to read. Memory
    that is still locked, shown by an array, or shared (:meth:`SharedMemory.share`), goes back when that ends.

    Different threads may use one pool at once. After the service was stopped, and in the child of a fork, the pool and
    its blocks raise :exc:`vcsm.NoBlock` when they are used.
    """

    __slots__ = ("__weakref__", "_pool")
    _pool: _core.Pool

    def __init__(
        self,
        size: SupportsIndex,
        name: str = "",
        *,
        cache: str = "none",
        alignment: SupportsIndex = 1,
        grow_by: SupportsIndex = 0,
        limit: SupportsIndex | None = None,
        keep: SupportsIndex | None = None,
        whole_blocks: bool = False,
        zero: bool = False,
    ) -> None:
        """Allocates the pool's first memory.

        :param size: in bytes, from 1 on: of the first allocation of the driver's.
        :param name: what its blocks are called.
        :param cache: who shall cache its memory, as for :class:`SharedMemory`. Blocks of one allocation share its
            locks: a lock that is taken while a neighbour is locked sees what the neighbour's saw. So where VideoCore
            writes what the CPU reads, host-cached blocks are better ``whole_blocks``.
        :param alignment: of every block, in bytes: a power of two. It is never below 64, a cache line.
        :param grow_by: bytes of each further allocation, made when the memory is used up; 0: as many as the first.
        :param limit: the most bytes that the pool may have of the driver's; None: no limit.
        :param keep: allocations without a block go back to the driver as long as those left have more bytes than this
            together; None: all are kept until :meth:`trim`.
        :param whole_blocks: each block is a whole allocation of the driver's, for those who take a VideoCore handle
            and no offset, such as MMAL. Nothing is allocated in advance, and ``size`` is what the pool keeps of blocks
            that were freed, instead of ``keep``.
        :param zero: every block is zero. Otherwise one that is used again holds what was in it.

        Raises what :class:`SharedMemory` raises.
        """
        self._pool = _core.Pool(
            whole_number(size, "a size"),
            checked_name(name),
            checked_cache(cache),
            whole_number(alignment, "an alignment"),
            whole_number(grow_by, "a step of growth"),
            None if limit is None else whole_number(limit, "a limit"),
            None if keep is None else whole_number(keep, "what is kept"),
            bool(whole_blocks),
            bool(zero),
        )

    def allocate(self, size: SupportsIndex, alignment: SupportsIndex = 1) -> SharedMemory:
        """A block of ``size`` bytes. What is in it is not promised, unless the pool was made with ``zero``.

        :param alignment: of its bus address where it has one, else of the CPU's, in bytes: a power of two.

        It is a :class:`SharedMemory` as any other. Where it does not start its allocation,
        :attr:`SharedMemory.videocore_handle` and :meth:`SharedMemory.fileno` raise :exc:`vcsm.NotSupported`, because
        whoever takes no offset would read its neighbour: take :meth:`SharedMemory.location` there.

        Raises :exc:`ValueError` and :exc:`TypeError` for arguments that nothing could fulfil, :exc:`vcsm.OutOfMemory`
        and :exc:`vcsm.Error` where the pool cannot grow; then it is as it was.
        """
        return SharedMemory._of(
            self._pool.allocate(whole_number(size, "a size"), whole_number(alignment, "an alignment"))
        )

    def trim(self) -> int:
        """Gives all allocations without a block back to the driver, whatever ``keep`` says; how many bytes."""
        return self._pool.trim()

    def statistics(self) -> PoolStatistics:
        """What is in the pool now. Gathers what threads keep at hand for their next blocks: not for every block."""
        return PoolStatistics(*self._pool.statistics())

    def close(self) -> None:
        """No more blocks come from it; the second time does nothing.

        Its blocks live on, and the memory goes back to the driver with the last of them.
        """
        self._pool.close()

    @property
    def closed(self) -> bool:
        """Whether no blocks come from it: by :meth:`close`, as the service was stopped, or in the child of a fork."""
        return self._pool.closed

    @property
    def name(self) -> str:
        """What its blocks are called."""
        return self._pool.name

    def __enter__(self) -> Self:
        self._pool.statistics()  # raises for a pool that is closed
        return self

    # The extension's: nothing can be raised before the pool is closed.
    __exit__ = _core.close_pool_at_exit

    def __repr__(self) -> str:
        if self.closed:
            return f"<vcsm.Pool {self.name!r}, closed>"
        now = self.statistics()
        return f"<vcsm.Pool {self.name!r}, {now.blocks} block(s), {now.used} of {now.capacity} bytes used>"


for _public in (Pool, PoolStatistics):
    _public.__module__ = "vcsm"
