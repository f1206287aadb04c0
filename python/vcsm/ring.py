"""A fixed set of equal blocks that go round: for streams of frames to, or from, VideoCore."""

from __future__ import annotations

from vcsm import _core
from vcsm._arguments import checked_cache, checked_name, whole_number
from vcsm.shared_memory import SharedMemory

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import SupportsIndex

    from typing_extensions import Self


class RingClosed(Exception):
    """The ring was closed, and no more blocks come."""


class Ring:
    """Blocks that are filled and emptied in turn, by a producer and a consumer, each in a thread of its own.

    >>> import threading
    >>> import vcsm
    >>> with vcsm.Ring(2, 5, "frames") as frames:
    ...     def produce():
    ...         for picture in (b"first", b"other", b"third"):
    ...             with frames.produce() as frame:       # waits for a free block; passes it on at the end
    ...                 frame.copy_from(picture)
    ...         frames.close()
    ...     producer = threading.Thread(target=produce)
    ...     producer.start()
    ...     for frame in frames:                          # until the ring is closed; each is free again after its turn
    ...         print(frame.copy_to())
    ...     producer.join()
    b'first'
    b'other'
    b'third'

    :meth:`produce` and :meth:`consume` give one block at a time. Below them are the four steps: :meth:`acquire` gives
    the producer the next free block, :meth:`submit` passes it on, :meth:`receive` gives the consumer the oldest that
    was passed on, :meth:`release` makes it free again. With these a side may have several blocks in work, or one thread
    may be both, where VideoCore is the consumer and :meth:`release` says that it is done with the oldest frame. Blocks
    are passed on, and become free, in the order in which they were given.

    Who waits, waits without the interpreter lock, and Ctrl-C ends it. Each side is one thread at a time.

    Each block is an allocation of the driver's own, so that its lock and its VideoCore handle are its alone, and the
    same :class:`SharedMemory` object in every round. It is the ring's: closing it raises :exc:`vcsm.Error`
    (``errno.EBUSY``). The blocks are freed by :meth:`free`, or at the end of a ``with``, or when the ring's object and
    those of its blocks are gone. After the service was stopped the blocks raise :exc:`vcsm.NoBlock`, and in the child
    of a fork the ring does too.
    """

    __slots__ = ("__weakref__", "_blocks", "_name", "_ring", "_size")
    _blocks: tuple[SharedMemory, ...]
    _name: str
    _ring: _core.Ring
    _size: int

    def __init__(
        self,
        blocks: SupportsIndex,
        size: SupportsIndex,
        name: str = "",
        *,
        cache: str = "none",
        alignment: SupportsIndex = 1,
    ) -> None:
        """Allocates the blocks.

        :param blocks: how many, from 1 on.
        :param size: of each, in bytes, from 1 on.
        :param name: what each is called.
        :param cache: as for :class:`SharedMemory`.
        :param alignment: as for :class:`SharedMemory`.

        Raises what :class:`SharedMemory` raises; then nothing is allocated.
        """
        self._size = whole_number(size, "a size")
        self._name = checked_name(name)
        self._ring = _core.Ring(
            whole_number(blocks, "a number of blocks", unit=""),
            self._size,
            self._name,
            checked_cache(cache),
            whole_number(alignment, "an alignment"),
        )
        self._blocks = tuple(
            SharedMemory._of(self._ring.object_of(number)) for number in range(whole_number(blocks, "a number"))
        )

    def produce(self) -> AbstractContextManager[SharedMemory]:
        """The next free block, to be used with ``with``, which waits for it and at its end passes it on.

        Where the ``with`` ends by an exception, the block is not passed on, and is the next to be filled. Raises
        :exc:`vcsm.RingClosed` once the ring is closed, :exc:`RuntimeError` while a block is acquired already.
        """
        return _Producing(self)

    def consume(self) -> AbstractContextManager[SharedMemory]:
        """The oldest block that was passed on, to be used with ``with``, which waits for it and at its end frees it.

        It is free again also where the ``with`` ends by an exception. Raises :exc:`vcsm.RingClosed` once the ring is
        closed and no more are to come, :exc:`RuntimeError` while a block is received already.
        """
        return _Consuming(self)

    def __iter__(self) -> Iterator[SharedMemory]:
        """The blocks that were passed on, each received for its turn of the loop, until the ring is closed."""
        while True:
            try:
                turn = self.consume()
                block = turn.__enter__()
            except RingClosed:
                return
            try:
                yield block
            finally:
                turn.__exit__(None, None, None)

    def acquire(self, wait: bool = True) -> SharedMemory | None:
        """The next free block, for which it waits; None once the ring is closed.

        Without ``wait`` None also where none is free. It may be called again before :meth:`submit`, for several blocks
        in work.
        """
        number = self._ring.acquire(wait)
        return None if number is None else self._blocks[number]

    def submit(self) -> None:
        """Passes the oldest acquired block on. Raises :exc:`RuntimeError` where none is acquired."""
        self._ring.submit()

    def receive(self, wait: bool = True) -> SharedMemory | None:
        """The oldest block that was passed on, for which it waits; None once the ring is closed and no more come.

        Without ``wait`` None also where none is there. It may be called again before :meth:`release`.
        """
        number = self._ring.receive(wait)
        return None if number is None else self._blocks[number]

    def release(self) -> None:
        """Makes the oldest block free that was passed on.

        That is one that was received or, for a consumer that is VideoCore and receives nothing, the oldest in use.
        Raises :exc:`RuntimeError` where there is none.
        """
        self._ring.release()

    def close(self) -> None:
        """No more blocks are acquired; the consumer still gets those that were passed on.

        Either side may call it, or a third. Who waits is woken. The blocks are not freed by this.
        """
        self._ring.close()

    def free(self) -> None:
        """Closes the ring and frees its blocks, also those that somebody has at the moment.

        Using them raises :exc:`vcsm.NoBlock` then; locks that are held keep their memory mapped until they end. The
        second time does nothing.
        """
        self._ring.free()

    @property
    def closed(self) -> bool:
        """Whether no more blocks are acquired."""
        return self._ring.closed

    @property
    def in_use(self) -> int:
        """How many blocks are passed on and not released."""
        return self._ring.in_use

    @property
    def block_bytes(self) -> int:
        """Bytes of each block."""
        return self._size

    @property
    def name(self) -> str:
        """What its blocks are called."""
        return self._name

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    def __enter__(self) -> Self:
        _ = self._ring.in_use  # raises for a ring that was freed
        return self

    # The extension's: nothing can be raised before the ring is freed.
    __exit__ = _core.free_ring_at_exit

    def __repr__(self) -> str:
        state = "freed" if self._ring.freed else "closed" if self.closed else f"{self.in_use} in use"
        return f"<vcsm.Ring {self._name!r}, {len(self)} block(s) of {self._size} bytes, {state}>"


class _Turn:
    """One block of one side's, for the length of a ``with``."""

    __slots__ = ("_of",)

    def __init__(self, of: Ring) -> None:
        self._of = of

    def _only(self, has: int, take: Callable[[], SharedMemory | None], refusal: str) -> SharedMemory:
        if has > 0:
            raise RuntimeError(refusal)
        block = take()
        if block is None:
            raise RingClosed(f"ring {self._of.name!r} was closed: no more blocks come")
        return block


class _Producing(_Turn):
    __slots__ = ()

    def __enter__(self) -> SharedMemory:
        return self._only(
            self._of._ring.acquired,
            self._of.acquire,
            f"produce() of ring {self._of.name!r} gives one block at a time, and one is acquired: submit it first",
        )

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is None:
            self._of.submit()
        elif not self._of._ring.freed:
            self._of._ring.put_back()


class _Consuming(_Turn):
    __slots__ = ()

    def __enter__(self) -> SharedMemory:
        return self._only(
            self._of._ring.received,
            self._of.receive,
            f"consume() of ring {self._of.name!r} gives one block at a time, and one is received: release it first",
        )

    def __exit__(self, *_: object) -> None:
        if not self._of._ring.freed:
            self._of.release()


for _public in (Ring, RingClosed):
    _public.__module__ = "vcsm"
