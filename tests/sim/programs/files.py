"""Looks at the answered files as Python programs do, with os, fcntl, ctypes and mmap; prints what it sees."""
import ctypes
import fcntl
import glob
import mmap
import os
import stat
import struct
import sys

ALLOC = 0x80404A5A
SYNC = 0x40086200


def main():
    print("dma_heap", sorted(os.listdir("/dev/dma_heap")))
    print("glob", sorted(glob.glob("/dev/dma_heap/*")))
    print("dev", [name for name in ("vcsm-cma", "vcsm", "vcio", "dma_heap", "null") if name in os.listdir("/dev")])
    with os.scandir("/dev") as entries:
        kinds = {entry.name: stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode) for entry in entries
                 if entry.name in ("vcsm-cma", "null")}
    print("kinds", sorted(kinds.items()))
    print("link", os.readlink("/dev/dma_heap/vidbuf_cached"), os.path.realpath("/dev/dma_heap/vidbuf_cached"))
    print("exists", os.path.exists("/dev/vcsm-cma"), os.path.exists("/dev/vcsm"), os.path.exists("/dev/vcsm-cma/x"))
    directory = os.open("/dev/dma_heap", os.O_RDONLY | os.O_DIRECTORY)
    heap = os.open("system", os.O_RDWR, dir_fd=directory)
    print("openat", os.path.basename(os.readlink(f"/proc/self/fd/{heap}")))
    os.close(heap)
    os.close(directory)
    with open("/proc/device-tree/compatible", "rb") as file:
        print("compatible", file.read().split(b"\0")[0].decode())
    with open("/proc/device-tree/model", "rb") as file:
        print("model", file.read().rstrip(b"\0").decode())
    with open("/proc/device-tree/system/linux,revision", "rb") as file:
        print("revision", hex(struct.unpack(">I", file.read())[0]))
    with open("/proc/meminfo") as file:
        print("meminfo", [line.split() for line in file if line.startswith("Cma")])

    device = os.open("/dev/vcsm-cma", os.O_RDWR)
    argument = bytearray(struct.pack("4I32siIQ", 10000, 1, 0, 0, b"python", -1, 0, 0))
    fcntl.ioctl(device, ALLOC, argument, True)
    _, _, _, _, _, handle, videocore_handle, address = struct.unpack("4I32siIQ", argument)
    with mmap.mmap(handle, 12288) as memory:
        memory[:5] = b"hello"
        libc = ctypes.CDLL(None, use_errno=True)
        sync = ctypes.c_uint64(7)
        print("sync", libc.ioctl(handle, ctypes.c_ulong(SYNC), ctypes.byref(sync)))
    print("block", videocore_handle, hex(address), os.fstat(handle).st_size)
    with open("/proc/meminfo") as file:
        print("meminfo", [line.split()[1] for line in file if line.startswith("CmaFree")])
    with open("/sys/kernel/debug/vcsm-cma/state") as file:
        print("state", [line.split() for line in file if "NAME" in line or "SIZE" in line or "HANDLE" in line])
    os.close(handle)
    os.close(device)


sys.exit(main())
