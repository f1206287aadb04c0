"""A locked block: its memory itself, as a buffer."""

from __future__ import annotations

from math import prod

from vcsm import _core
from vcsm._arguments import extents, whole_number

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, SupportsIndex, overload

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self


class View(_core.View):
    r"""The bytes of a locked block, without a copy; what :meth:`SharedMemory.lock` gives.

    It is used as a :class:`memoryview` of bytes is: indexed, sliced, assigned to, given to whatever takes a buffer
    (``np.frombuffer(view)``, ``file.readinto(view)``, ``socket.recv_into(view)``). :meth:`array` shows the memory as a
    NumPy array.

    The lock lasts until the end of the ``with``, or until :meth:`unlock`. Then what was written is with VideoCore, and
    using the view is a :exc:`ValueError`. An array or memoryview of it that still exists at that moment is a
    :exc:`BufferError`, raised when the block has been unlocked all the same: its memory stays mapped until the array is
    gone, so that nothing crashes, but what is written there need not reach VideoCore.

    >>> import vcsm
    >>> with vcsm.SharedMemory(4, "bytes") as block:
    ...     with block.lock("w") as view:
    ...         view[:2] = b"ab"
    ...     block.copy_to()
    b'ab\x00\x00'
    """

    __slots__ = ("_name",)
    _name: str
    __hash__ = None  # type: ignore[assignment]  # compared by content, as a writable memoryview is

    def __init__(self, block: _core.Block, writes: bool) -> None:
        """Takes the lock; :meth:`SharedMemory.lock` calls it."""
        super().__init__(block, writes)
        self._name = block.name

    def unlock(self) -> None:
        """Ends the lock, as the end of the ``with`` does; the second time does nothing.

        Raises :exc:`vcsm.Error` where VideoCore may not see what was written, :exc:`BufferError` where an array or
        memoryview of it still exists. The block is unlocked all the same.
        """
        if not self.locked:
            return
        super().unlock()
        if self.users > 0:
            self._refuse_users()

    def _refuse_users(self) -> None:
        raise BufferError(
            f"{self.users} array(s) or memoryview(s) of block {self._name!r} outlive its lock: drop them before it "
            "ends, or copy them; the block is unlocked, and what is written to them now need not reach VideoCore"
        )

    def __enter__(self) -> Self:
        if not self.locked:
            raise ValueError(f"this lock of block {self._name!r} has ended: take a new one")
        return self

    def array(
        self,
        dtype: npt.DTypeLike = "uint8",
        shape: SupportsIndex | Sequence[SupportsIndex] | None = None,
        *,
        offset: SupportsIndex = 0,
    ) -> np.ndarray[Any, Any]:
        """A NumPy array on the memory itself, in C order, from ``offset`` bytes on.

        ``shape`` is in elements; without it the array has one dimension and as many elements as fit. It is read-only
        under a lock for reading. It must be gone, with all its slices, when the lock ends; see :class:`View`.

        Raises :exc:`ValueError` for more than the block has, :exc:`TypeError` for a dtype of Python objects,
        :exc:`ImportError` without NumPy.
        """
        import numpy as np

        kind = np.dtype(dtype)
        if kind.hasobject:
            raise TypeError(f"VideoCore memory holds bytes, not Python objects: {kind} cannot be its dtype")
        if kind.itemsize == 0:
            raise ValueError(f"the dtype {kind} has elements of 0 bytes")
        start = whole_number(offset, "an offset")
        if start > self.size:
            raise ValueError(f"offset {start} is beyond the end of block {self._name!r} of {self.size} bytes")
        form = extents(shape, (self.size - start) // kind.itemsize)
        count = prod(form)
        wanted = count * kind.itemsize
        if wanted > self.size - start:
            raise ValueError(
                f"an array of {wanted} bytes at offset {start} is more than block {self._name!r} has: {self.size} bytes"
            )
        if count == 0:
            return np.empty(form, kind)
        # numpy.frombuffer() holds on to the buffer, and so counts as its user; numpy.ndarray(buffer=…) does not.
        return np.frombuffer(memoryview(self), kind, count, start).reshape(form)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: SupportsIndex) -> int: ...
        @overload
        def __getitem__(self, key: slice) -> memoryview: ...

    def __getitem__(self, key: SupportsIndex | slice) -> int | memoryview:
        return memoryview(self)[key]

    def __setitem__(self, key: SupportsIndex | slice, value: Any) -> None:
        memoryview(self)[key] = value

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return iter(memoryview(self))

    def __eq__(self, other: object) -> bool:
        if not self.locked:
            return self is other
        return memoryview(self) == (memoryview(other) if isinstance(other, View) and other.locked else other)

    def __repr__(self) -> str:
        if not self.locked:
            return f"<vcsm.View of block {self._name!r}, unlocked>"
        return f"<vcsm.View of block {self._name!r}, {self.size} bytes, {'read-only' if self.readonly else 'writable'}>"

    @property
    def nbytes(self) -> int:
        """The block's size in bytes."""
        return self.size

    @property
    def readonly(self) -> bool:
        """Whether it is under a lock for reading."""
        return not self.writes

    def cast(self, format: str, shape: list[int] | tuple[int, ...] | None = None) -> memoryview:
        """As :meth:`memoryview.cast`: the memory as elements of another format."""
        return memoryview(self).cast(format) if shape is None else memoryview(self).cast(format, shape)  # type: ignore[call-overload,no-any-return]

    def tobytes(self) -> bytes:
        """A copy of all bytes."""
        return memoryview(self).tobytes()

    def tolist(self) -> list[int]:
        """A copy of all bytes, as numbers."""
        return memoryview(self).tolist()

    def hex(self) -> str:
        """A copy of all bytes, as hexadecimal digits."""
        return memoryview(self).hex()

    # Where Python writes it out: a view is the memory of its process.
    def __reduce__(self) -> Any:
        raise TypeError("a view cannot be pickled: pickle its block, or a copy of the bytes")


View.__module__ = "vcsm"
