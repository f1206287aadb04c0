"""Memory that a CPU and a Raspberry Pi's VideoCore share.

>>> import vcsm
>>> with vcsm.SharedMemory(100, "test_data") as block:
...     block.copy_from(bytes(range(100)))
...     handle = block.videocore_handle     # what MMAL parameters take

Where there is no Raspberry Pi, a VideoCore in software takes its place, and :mod:`vcsm.videocore` is its side.
:mod:`vcsm.vcsmobj`, also importable as ``picamera.vcsmobj``, is for programs written for picamera.
"""

from __future__ import annotations

import _vcsm_picamera
from vcsm import _core
from vcsm._errors import Error, NoBlock, NotSupported, OutOfMemory
from vcsm.shared_memory import SharedMemory
from vcsm.view import View

TYPE_CHECKING = False  # typing takes longer to import than all of this package
if TYPE_CHECKING:
    from vcsm import videocore
    from vcsm._places import DmabufLocation, Location
    from vcsm._service import Block, Device, blocks, devices, use
    from vcsm.pool import Pool, PoolStatistics
    from vcsm.ring import Ring, RingClosed

__all__ = [
    "Block",
    "Device",
    "DmabufLocation",
    "Error",
    "Location",
    "NoBlock",
    "NotSupported",
    "OutOfMemory",
    "Pool",
    "PoolStatistics",
    "Ring",
    "RingClosed",
    "SharedMemory",
    "View",
    "__version__",
    "blocks",
    "devices",
    "use",
    "videocore",
]

__version__: str = _core.version()

# For those who run Python without its site module, or from a tree that is on PYTHONPATH alone.
_vcsm_picamera.install()


# Imported when they are first used: a program that sends its data and is done needs none of them.
_LATER = {
    **dict.fromkeys(("Block", "Device", "blocks", "devices", "use"), "_service"),
    **dict.fromkeys(("Location", "DmabufLocation"), "_places"),
    **dict.fromkeys(("Pool", "PoolStatistics"), "pool"),
    **dict.fromkeys(("Ring", "RingClosed"), "ring"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "videocore":
        return import_module("vcsm.videocore")
    if name in _LATER:
        found: object = getattr(import_module(f"vcsm.{_LATER[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'vcsm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
