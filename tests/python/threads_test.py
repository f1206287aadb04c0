"""Threads: who waits for whom, and one block used by several."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import vcsm
from vcsm.vcsmobj import VideoCoreSharedMemory, VideoCoreSharedMemoryServiceManager, ensure_vcsm_init


@pytest.fixture
def only_given_up() -> Iterator[None]:
    """Python takes the interpreter lock from no thread: another runs only where this one gives it up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def lets_others_run(operation: Callable[[], object], seconds: float = 60) -> bool:
    """Whether another thread, which waits for the interpreter lock, gets it while this one repeats `operation`.

    It need not get it at the first try, for this thread may be back before the other has woken up.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ran: list[bool] = []
        door = threading.Lock()
        door.acquire()

        def behind(door: threading.Lock = door, ran: list[bool] = ran) -> None:
            door.acquire()  # waits for the door, without the interpreter lock, then for that
            ran.append(True)

        thread = threading.Thread(target=behind)
        thread.start()
        door.release()
        # From here on nothing but `operation` gives up the interpreter lock.
        for _ in range(1000):
            operation()
            if ran:
                break
        it_ran = bool(ran)
        thread.join()
        if it_ran:
            return True
    return False


@pytest.mark.usefixtures("only_given_up")
class TestOthersRun:
    def test_while_nothing_blocks_they_do_not(self) -> None:
        """What makes the other tests of this class tests."""
        assert not lets_others_run(lambda: sum(range(10000)), seconds=0.5)

    def test_during_large_copies(self) -> None:
        values = np.ones(4 << 20, "u1")
        strided = np.ones((1 << 20, 2), "u1")[:, 0]
        with vcsm.SharedMemory(4 << 20, "large") as block:
            assert lets_others_run(lambda: block.copy_from(values))
            assert lets_others_run(lambda: block.copy_from(strided))
            assert lets_others_run(lambda: block.copy_to(values))
            assert lets_others_run(block.copy_to)

    def test_during_large_copies_of_the_old_face(self) -> None:
        values = np.ones(4 << 20, "u1")
        block = VideoCoreSharedMemory(4 << 20, "large")
        assert lets_others_run(lambda: block.copy_from_array(values))
        assert lets_others_run(lambda: block.copy_from_memoryview(memoryview(values)))
        assert lets_others_run(lambda: block.copy_from_buffer(values.ctypes.data))

    def test_in_calls_that_ask_the_device(self) -> None:
        with vcsm.SharedMemory(1 << 20, "asked", cache="host") as block:
            for operation in (
                lambda: vcsm.SharedMemory(4096, "made and freed").close(),
                lambda: block.lock().unlock(),
                lambda: block.copy_from(b"few bytes of a cached block"),
                lambda: os.close(block.export()),
                lambda: block.share().close(),
                vcsm.devices,
                vcsm.blocks,
                vcsm.videocore.list,
                lambda: vcsm.videocore.read(block.videocore_handle),
                lambda: vcsm.use("simulated"),
                ensure_vcsm_init,
                lambda: VideoCoreSharedMemoryServiceManager().exit(),
            ):
                assert lets_others_run(operation), operation


def test_one_block_by_many_threads() -> None:
    patterns = [np.full(1 << 16, number, "u1") for number in range(8)]
    with vcsm.SharedMemory(len(patterns) << 16, "shared by threads", cache="host") as block:

        def work(number: int) -> None:
            for _ in range(50):
                block.copy_from(patterns[number], number << 16)
                with block.lock("r") as view:
                    assert view[number << 16] == number
                _ = block.handle

        failed: list[BaseException] = []

        def kept(number: int) -> None:
            try:
                work(number)
            except BaseException as error:  # raised below
                failed.append(error)

        threads = [threading.Thread(target=kept, args=(number,)) for number in range(len(patterns))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert vcsm.blocks()[0].locks == 0
        assert block.copy_to() == b"".join(pattern.tobytes() for pattern in patterns)


ONES = np.ones(1 << 20, "u1")


@pytest.mark.parametrize(
    ("make", "use"),
    [
        pytest.param(lambda: vcsm.SharedMemory(ONES.size), lambda block: block.copy_from(ONES), id="block"),
        pytest.param(lambda: vcsm.Pool(65536), lambda pool: pool.allocate(1000).copy_from(b"x"), id="pool"),
    ],
)
def test_what_another_thread_uses_may_be_closed(make: Callable[[], Any], use: Callable[[Any], None]) -> None:
    for _ in range(20):
        used = make()
        started = threading.Event()
        wrong: list[BaseException] = []

        def go_on(used: Any = used, started: threading.Event = started, wrong: list[BaseException] = wrong) -> None:
            try:
                while True:
                    use(used)
                    started.set()
            except vcsm.NoBlock:
                pass
            except BaseException as error:  # raised below
                wrong.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        assert started.wait(60)
        used.close()
        thread.join()
        assert wrong == []
    assert vcsm.blocks() == []
