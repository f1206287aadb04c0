"""Hands blocks to processes of multiprocessing, by the start method that its argument names."""

import multiprocessing
import sys
from multiprocessing.connection import Connection
from typing import Any

import vcsm
from vcsm.vcsmobj import VideoCoreSharedMemory


def work(block: vcsm.SharedMemory, connection: Connection, queue: Any) -> None:
    """Reads what the parent wrote, answers in the same memory, and does the same with a block that comes in a queue."""
    assert (block.name, block.size) == ("handed over", 10)
    assert block.copy_to()[:6] == b"parent"
    block.copy_from(b"child", 5)
    old = connection.recv()
    assert isinstance(old, VideoCoreSharedMemory)
    old.copy_from_memoryview(memoryview(b"old"))
    queued = queue.get()
    queued.copy_from(b"queue")
    connection.send("done")


if __name__ == "__main__":
    method = sys.argv[1]
    context: Any = multiprocessing.get_context(method)
    parent_end, child_end = context.Pipe()
    queue = context.Queue()
    with vcsm.SharedMemory(10, "handed over") as block, vcsm.SharedMemory(5, "queued") as queued:
        block.copy_from(b"parent")
        handed = block
        process = context.Process(target=work, args=(handed, child_end, queue))
        process.start()
        old = VideoCoreSharedMemory(3, "old")
        parent_end.send(old)
        queue.put(queued)
        assert parent_end.poll(60)
        assert parent_end.recv() == "done"
        process.join(60)
        assert process.exitcode == 0
        assert block.copy_to() == b"parenchild"
        assert old.shared_memory.copy_to() == b"old"
        assert queued.copy_to() == b"queue"
    print("handed over")
