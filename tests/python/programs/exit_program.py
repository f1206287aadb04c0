"""Leaves blocks, views, arrays and managers alive at the interpreter's end, in the order that its argument says."""

import atexit
import gc
import sys
import threading
from collections.abc import Callable

import numpy as np

import vcsm
from vcsm.vcsmobj import VideoCoreSharedMemory, VideoCoreSharedMemoryServiceManager, ensure_vcsm_init

how = sys.argv[1]
if "no-gc" in how:
    gc.disable()

block = vcsm.SharedMemory(1 << 20, "modern", cache="host")
old = VideoCoreSharedMemory(1 << 20, "old")

if "pool" in how:
    pool = vcsm.Pool(1 << 20, "pool")
    parts = [pool.allocate(1000) for _ in range(10)]
    parts[1].copy_from(b"some have a handle")
    _ = parts[2].handle
    part_view = parts[3].lock()
    part_array = parts[4].lock().array("u1")
    whole = vcsm.Pool(1 << 20, "whole", whole_blocks=True).allocate(5000)
if "pool,dropped" in how:
    del pool
if "ring" in how:
    ring = vcsm.Ring(3, 1000, "ring")
    with ring.produce() as frame:
        frame.copy_from(b"passed on, and not consumed")
    held = ring.consume()
    held.__enter__()
if "ring,waiting" in how:

    def wait_for_ever(wait: Callable[[], object]) -> None:
        while True:
            wait()

    threading.Thread(target=wait_for_ever, args=(ring.receive,), daemon=True).start()
    while ring.acquire(wait=False) is not None:
        pass
    threading.Thread(target=wait_for_ever, args=(ring.acquire,), daemon=True).start()
if "manager" in how:
    manager = VideoCoreSharedMemoryServiceManager()
    ensure_vcsm_init()
if "locked" in how:
    view = block.lock()
    pointer = old.lock()
    pointer.__enter__()
if "array" in how:
    array = block.lock().array("u1")
    array[:] = 1
if "cycle" in how:
    cycle = [block, old, vcsm.SharedMemory(1, "in a cycle")]
    cycle.append(cycle)
if "atexit" in how:
    atexit.register(lambda: block.copy_from(b"at exit"))
if "class" in how:

    class Late:
        """Uses a block when its modules may be gone."""

        def __init__(self, held: vcsm.SharedMemory) -> None:
            self.held = held

        def __del__(self) -> None:
            self.held.copy_from(b"late")
            self.held.close()

    late = Late(vcsm.SharedMemory(10, "late"))
if "thread" in how:

    def copy_for_ever() -> None:
        source = np.zeros(1 << 20, "u1")
        while True:
            block.copy_from(source)

    threading.Thread(target=copy_for_ever, daemon=True).start()
    block.copy_to()
if "module" in how:
    sys.modules["kept"] = block  # type: ignore[assignment]
if "exit" in how:
    raise SystemExit
