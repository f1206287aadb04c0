"""Rings: equal blocks that go round between a producer and a consumer."""

from __future__ import annotations

import errno
import functools
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vcsm


@pytest.fixture
def frames() -> Iterator[vcsm.Ring]:
    with vcsm.Ring(3, 100, "frames") as ring:
        yield ring


class Thread:
    """Runs `work`, and raises here what it raised there."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.failed: list[BaseException] = []

        def kept() -> None:
            try:
                work()
            except BaseException as error:  # raised by join()
                self.failed.append(error)

        self.thread = threading.Thread(target=kept)
        self.thread.start()

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        for error in self.failed:
            raise error


def test_blocks_go_round(frames: vcsm.Ring, videocore: ModuleType) -> None:
    assert len(frames) == 3
    assert frames.block_bytes == 100
    assert frames.name == "frames"
    assert [(one.name, one.size) for one in vcsm.blocks()] == [("frames", 100)] * 3
    order = []
    for number in range(7):
        with frames.produce() as block:
            assert isinstance(block, vcsm.SharedMemory)
            block.copy_from(bytes([number]) * 100)
        assert frames.in_use == 1
        with frames.consume() as received:
            assert received is block
            assert videocore.read(received.videocore_handle) == bytes([number]) * 100
        assert frames.in_use == 0
        order.append(block)
    assert len(set(map(id, order))) == 3
    assert order[0] is order[3] is order[6]


def test_the_four_steps_with_several_blocks_in_work(frames: vcsm.Ring) -> None:
    first, second, third = frames.acquire(), frames.acquire(), frames.acquire()
    assert first is not None
    assert frames.acquire(wait=False) is None
    frames.submit()
    frames.submit()
    assert frames.in_use == 2
    assert frames.receive() is first
    assert frames.receive() is second
    assert frames.receive(wait=False) is None
    frames.release()
    assert frames.acquire() is first
    frames.submit()
    assert frames.receive() is third
    assert frames.in_use == 2


def test_videocore_as_the_consumer_receives_nothing(frames: vcsm.Ring) -> None:
    for _ in range(5):
        for _ in range(3):
            with frames.produce() as block:
                block.copy_from(b"given to VideoCore")
        assert frames.in_use == 3
        for _ in range(3):
            frames.release()


def test_a_stream_from_thread_to_thread_arrives_whole_and_in_order() -> None:
    count = 500
    with vcsm.Ring(3, 70_000, cache="host") as ring:

        def produce() -> None:
            for number in range(count):
                with ring.produce() as block:
                    block.copy_from(np.full(70_000, number % 251, "u1"))
            ring.close()

        producer = Thread(produce)
        received = []
        for block in ring:
            values = block.copy_to(dtype="u1")
            assert (values == values[0]).all()
            received.append(int(values[0]))
        producer.join()
        assert received == [number % 251 for number in range(count)]
        assert ring.in_use == 0


def test_who_waits_lets_others_run(frames: vcsm.Ring) -> None:
    received: list[bytes] = []
    consumer = Thread(lambda: received.extend(block.copy_to(offset=95) for block in frames))
    for number in range(20):  # the consumer waits for each, and the producer for the consumer
        with frames.produce() as block:
            block.copy_from(bytes([number]) * 100)
    frames.close()
    consumer.join()
    assert received == [bytes([number]) * 5 for number in range(20)]


def test_iterating_ends_at_close_with_what_was_passed_on(frames: vcsm.Ring) -> None:
    for number in (1, 2):
        with frames.produce() as block:
            block.copy_from(bytes([number]))
    frames.close()
    assert frames.closed
    assert [block.copy_to()[0] for block in frames] == [1, 2]
    assert list(frames) == []


def test_closing_wakes_both_sides(frames: vcsm.Ring) -> None:
    with vcsm.Ring(1, 10) as full:
        assert full.acquire() is not None
        got: list[object] = []
        waiting = [
            Thread(lambda: got.append(frames.receive())),
            Thread(lambda: got.append(full.acquire())),
        ]
        frames.close()
        full.close()
        for thread in waiting:
            thread.join()
        assert got == [None, None]


def test_with_says_that_the_ring_was_closed(frames: vcsm.Ring) -> None:
    frames.close()
    frames.close()
    with pytest.raises(vcsm.RingClosed, match="ring 'frames' was closed"), frames.produce():
        pass
    with pytest.raises(vcsm.RingClosed, match="ring 'frames' was closed"), frames.consume():
        pass
    assert frames.acquire() is None
    assert frames.receive() is None


def test_a_block_whose_filling_failed_is_not_passed_on_and_filled_again(frames: vcsm.Ring) -> None:
    with frames.produce() as first:
        first.copy_from(b"1")
    with pytest.raises(ZeroDivisionError), frames.produce() as failed:
        failed.copy_from(b"half of it")
        _ = 1 // 0
    assert frames.in_use == 1
    with pytest.raises(RuntimeError, match="none is acquired"):
        frames.submit()
    with frames.produce() as again:
        assert again is failed
        again.copy_from(b"2")
    with frames.produce() as last:
        assert last not in (first, again)
        last.copy_from(b"3")
    frames.close()
    assert [block.copy_to()[:1] for block in frames] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("how", ["exception", "break"])
def test_a_block_is_free_again_however_its_consumer_ends(frames: vcsm.Ring, how: str) -> None:
    for _ in range(10):
        with frames.produce() as block:
            block.copy_from(b"frame")
        if how == "exception":
            with pytest.raises(ZeroDivisionError):
                for _ in frames:
                    _ = 1 // 0
        else:
            for _ in frames:
                break
        assert frames.in_use == 0


def test_one_with_at_a_time(frames: vcsm.Ring) -> None:
    with frames.produce(), pytest.raises(RuntimeError, match="one is acquired"), frames.produce():
        pass
    frames.acquire()
    with pytest.raises(RuntimeError, match="one is acquired"), frames.produce():
        pass
    with frames.consume():
        with pytest.raises(RuntimeError, match="one is received"), frames.consume():
            pass
        with pytest.raises(RuntimeError, match="one is received"):
            next(iter(frames))


def test_steps_that_were_not_begun_are_refused(frames: vcsm.Ring) -> None:
    with pytest.raises(RuntimeError, match='submit a block of ring "frames": none is acquired'):
        frames.submit()
    with pytest.raises(RuntimeError, match='release a block of ring "frames": none is in use'):
        frames.release()


def test_its_blocks_are_the_rings_to_free(frames: vcsm.Ring) -> None:
    block = frames.acquire()
    assert block is not None
    with pytest.raises(vcsm.Error, match="it is its ring's") as refused:
        block.close()
    assert refused.value.errno == errno.EBUSY
    with pytest.raises(vcsm.Error, match="it is its ring's"), block:
        block.copy_from(b"used with")
    assert block.copy_to()[:9] == b"used with"


def test_freeing_takes_the_blocks_away_and_with_does_it(videocore: ModuleType) -> None:
    with vcsm.Ring(2, 100, "freed") as ring:
        block = ring.acquire()
        assert block is not None
        with block.lock("w") as view:
            ring.free()
            view[:] = b"x" * 100  # the memory stays mapped until the lock ends
        assert block.closed
        assert ring.closed
        assert videocore.list() == []
        block.close()  # nothing is left to refuse
    ring.free()
    ring.close()
    assert len(ring) == 2
    for use in (block.copy_to, ring.acquire, ring.receive, ring.submit, ring.release, ring.__enter__):
        with pytest.raises(vcsm.NoBlock):
            use()
    assert repr(ring) == "<vcsm.Ring 'freed', 2 block(s) of 100 bytes, freed>"


def test_freeing_wakes_who_waits_and_does_not_hide_an_exception() -> None:
    for _ in range(10):
        ring = vcsm.Ring(1, 100)
        waiting = Thread(functools.partial(list, ring))
        ring.free()
        try:
            waiting.join()
        except vcsm.NoBlock:  # it had not begun to wait
            pass
    with pytest.raises(ZeroDivisionError), vcsm.Ring(1, 10) as ring, ring.produce():
        ring.free()
        _ = 1 // 0


def test_blocks_outlive_the_rings_object(videocore: ModuleType) -> None:
    ring = vcsm.Ring(2, 5)
    block = ring.acquire()
    assert block is not None
    del ring
    gc.collect()
    block.copy_from(b"alive")
    assert videocore.read(block.videocore_handle) == b"alive"
    del block
    assert videocore.list() == []


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((0, 100), ValueError, "at least 1 block"),
        ((-1, 100), ValueError, "a number of blocks of -1: it cannot be negative"),
        ((1.5, 100), TypeError, "a number of blocks is a whole number, not a float"),
        ((1 << 31, 100), ValueError, "at most 2147483647"),
        ((3, 0), ValueError, "at least 1 byte"),
        ((3, -5), ValueError, "a size of -5 bytes"),
        ((3, "100"), TypeError, "a size is a whole number of bytes"),
        ((3, 1 << 30), vcsm.OutOfMemory, "1073741824 bytes"),
        ((200, 1 << 20), vcsm.OutOfMemory, "1048576 bytes"),
        ((3, 100, "a\0b"), ValueError, "NUL"),
        ((3, 100, b"name"), TypeError, "is a str"),
    ],
)
def test_bad_arguments(videocore: ModuleType, arguments: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        vcsm.Ring(*arguments)
    for options, wrong in (({"cache": "gpu"}, "unknown cache mode"), ({"alignment": 3}, "no power of two")):
        with pytest.raises(ValueError, match=wrong):
            vcsm.Ring(2, 100, **options)
    gc.collect()
    assert videocore.list() == []


def test_cache_mode_and_alignment_are_as_asked() -> None:
    with vcsm.Ring(np.int8(2), np.uint16(100), cache="host", alignment=65536) as ring:
        for _ in range(2):
            block = ring.acquire()
            assert block is not None
            assert block.granted_cache == "host"
            assert block.bus_address % 65536 == 0


def test_after_the_service_stopped_the_blocks_say_so(videocore: ModuleType) -> None:
    ring = vcsm.Ring(2, 100, "stopped")
    videocore.reset()
    with pytest.raises(vcsm.NoBlock, match="freed when the service was stopped"), ring.produce() as block:
        block.copy_from(b"x")
    ring.free()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_no_ring_of_its_parents(frames: vcsm.Ring) -> None:
    waiting = Thread(frames.receive)  # also in the moment of the fork
    child = os.fork()
    if child == 0:
        try:
            for use in (frames.acquire, frames.receive, frames.submit, frames.release, frames.__enter__):
                with pytest.raises(vcsm.NoBlock, match=f"belongs to process {os.getppid()}"):
                    use()
            assert frames.closed
            frames.free()
            with vcsm.Ring(2, 5) as own, own.produce() as block:
                block.copy_from(b"child")
            os._exit(0)
        except BaseException as failed:  # there is nobody above who could report it
            os.write(2, f"in the child: {failed!r}\n".encode())
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with frames.produce() as block:
        block.copy_from(b"parent")
    waiting.join()
    frames.release()


@pytest.mark.parametrize("wait", ["ring.acquire()", "next(iter(ring))"])
def test_ctrl_c_ends_a_wait(wait: str) -> None:
    program = (
        "import vcsm\n"
        "ring = vcsm.Ring(1, 10)\n"
        f"{'ring.acquire()' if 'acquire' in wait else ''}\n"
        "print('waits', flush=True)\n"
        "try:\n"
        f"    {wait}\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waits\n"
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    # The signal may come before the try began; then Python ends by it.
    assert said == "interrupted\n" or running.returncode == -signal.SIGINT


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 5), steps=st.lists(st.sampled_from(["fill", "fail", "consume", "release"]), max_size=60))
def test_random_steps_against_a_list(count: int, steps: list[str]) -> None:
    passed_on: list[int] = []
    numbers = itertools.count()
    with vcsm.Ring(count, 4) as ring:
        for step in steps:
            if step in ("fill", "fail") and len(passed_on) < count:
                number = next(numbers)
                try:
                    with ring.produce() as block:
                        block.copy_from(number.to_bytes(4, "little"))
                        if step == "fail":
                            raise LookupError
                except LookupError:
                    continue
                passed_on.append(number)
            elif step == "consume" and passed_on:
                with ring.consume() as block:
                    assert int.from_bytes(block.copy_to(), "little") == passed_on.pop(0)
            elif step == "release" and passed_on:
                ring.release()
                passed_on.pop(0)
            assert ring.in_use == len(passed_on)
        ring.close()
        assert [int.from_bytes(block.copy_to(), "little") for block in ring] == passed_on
