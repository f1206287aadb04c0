"""``picamera.vcsmobj``, where picamera itself has none: the same as :mod:`vcsm.vcsmobj`."""

from vcsm.vcsmobj import (
    VideoCoreSharedMemory,
    VideoCoreSharedMemoryServiceManager,
    ensure_vcsm_init,
    vcsm_exit,
)

__all__ = [
    "VideoCoreSharedMemory",
    "VideoCoreSharedMemoryServiceManager",
    "ensure_vcsm_init",
    "vcsm_exit",
]
