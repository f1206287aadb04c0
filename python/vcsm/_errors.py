"""What goes wrong on the device's side, as exceptions."""

from __future__ import annotations

from vcsm import _core


class Error(OSError):
    """A device or the kernel refused.

    ``errno`` says why (a number of the module :mod:`errno`), ``strerror`` and ``str()`` are one sentence: the
    operation, the device, the block, its bytes, the reason, and what to do.

    What can be judged without a device is :exc:`ValueError` or :exc:`TypeError` instead.
    """

    def __str__(self) -> str:
        return str(self.strerror) if self.strerror is not None else super().__str__()


class OutOfMemory(Error, MemoryError):
    """There is no room for the block (``errno.ENOMEM``); the sentence says how much there is."""


class NotSupported(Error):
    """The device cannot do that at all (``errno.ENOTSUP``); the sentence names one that can."""


class NoBlock(Error):
    """The object has no block that can be used (``errno.EBADF``).

    It was closed, its service was stopped, or it belongs to the process that this one was forked from.
    """


for _public in (Error, OutOfMemory, NotSupported, NoBlock):
    _public.__module__ = "vcsm"

_core.set_exceptions(Error, OutOfMemory, NotSupported, NoBlock)
