"""Does something for ever with a block until a signal's exception ends it; says what is left then.

interrupted_program.py WORK CACHE [HANDLER]
"""

import signal
import sys

import numpy as np

import vcsm

work, cache, *handler = sys.argv[1:]
source = np.ones(8 << 20, "u1")
target = bytearray(source.size)


def end(number: int, frame: object) -> None:
    """Python's own way to end, for a signal of which it knows none."""
    sys.exit(3)


if handler:
    signal.signal(signal.SIGTERM, end)

block = vcsm.SharedMemory(source.size, "interrupted", cache=cache)
try:
    with block:
        print("ready", flush=True)
        while True:
            if work == "copy_from":
                block.copy_from(source)
            elif work == "copy_from_strided":
                block.copy_from(source.reshape(-1, 2)[:, 0])
            elif work == "copy_to":
                block.copy_to(target)
            elif work == "lock":
                with block.lock() as view:
                    view.array("u1")[:] = 7
            elif work == "short":
                with vcsm.SharedMemory(100, "short") as other:
                    with other.lock() as view:
                        view[0] = 1
                    other.resize(5000)
finally:
    left = vcsm.blocks()
    assert block.closed
    assert left == [], left
    assert vcsm.videocore.list() == []
    print("nothing is left", flush=True)
