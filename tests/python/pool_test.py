"""Pools: blocks that are parts of larger allocations, and used again."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vcsm

MEBIBYTE = 1 << 20


def as_videocore_sees(block: vcsm.SharedMemory) -> bytes:
    handle, offset = block.location()
    return vcsm.videocore.read(handle, offset, block.size)


def test_blocks_are_parts_of_one_allocation_that_videocore_sees_where_location_says(videocore: ModuleType) -> None:
    with vcsm.Pool(MEBIBYTE, "frames") as frames:
        blocks = [frames.allocate(1000 + number) for number in range(20)]
        for number, block in enumerate(blocks):
            block.copy_from(bytes([number]) * block.size)
        for number, block in enumerate(blocks):
            assert isinstance(block, vcsm.SharedMemory)
            assert as_videocore_sees(block) == bytes([number]) * (1000 + number) == block.copy_to()
            assert block.name == "frames"
            assert block.capacity >= block.size == 1000 + number
        assert len({block.location().videocore_handle for block in blocks}) == 1
        assert len(videocore.list()) == 1
        first, second = blocks[:2]
        assert first.bus_address - first.location().offset == second.bus_address - second.location().offset
        assert first.dmabuf_location().descriptor == second.dmabuf_location().descriptor
        assert first.dmabuf_location().offset == first.location().offset


def test_the_bare_handle_of_a_block_behind_the_start_is_refused() -> None:
    with vcsm.Pool(MEBIBYTE) as pool:
        first, second = sorted((pool.allocate(64), pool.allocate(64)), key=lambda block: block.location().offset)
        assert first.location().offset == 0
        assert first.videocore_handle == second.location().videocore_handle
        with pytest.raises(vcsm.NotSupported, match=r"location\(\)"):
            _ = second.videocore_handle
        for refused in (second.fileno, second.export):
            with pytest.raises(vcsm.NotSupported, match=r"dmabuf_location\(\)"):
                refused()
        os.close(first.export())


def test_a_block_that_is_no_pools_is_where_its_handle_says() -> None:
    with vcsm.SharedMemory(10) as block:
        assert block.location() == (block.videocore_handle, 0)
        assert block.dmabuf_location() == (block.fileno(), 0)


@pytest.mark.parametrize("end", ["close", "with", "del"])
def test_the_memory_of_a_freed_block_is_used_again(end: str) -> None:
    with vcsm.Pool(MEBIBYTE, limit=MEBIBYTE) as pool:
        addresses = set()
        for _ in range(1000):
            block = pool.allocate(300_000)
            addresses.add(block.bus_address)
            if end == "close":
                block.close()
                block.close()  # the second time does nothing
            elif end == "with":
                with block:
                    pass
            del block
        assert len(addresses) <= 3  # as many as fit
        assert pool.statistics().blocks == 0


def test_a_block_with_a_handle_works_as_any_other(videocore: ModuleType) -> None:
    with vcsm.Pool(MEBIBYTE, "named") as pool:
        block = pool.allocate(100)
        handle = block.handle
        assert [(one.handle, one.name, one.size) for one in vcsm.blocks()] == [(handle, "named", 100)]
        again = block.share()
        block.copy_from(b"shared")
        block.close()
        assert pool.statistics().blocks == 1
        assert again.copy_to()[:6] == b"shared"
        again.close()
        assert pool.statistics().blocks == 0
        assert vcsm.blocks() == []


def test_copies_locks_and_arrays_stay_within_the_block() -> None:
    with vcsm.Pool(MEBIBYTE, cache="host") as pool:
        before, block, behind = (pool.allocate(64) for _ in range(3))
        for neighbour in (before, behind):
            neighbour.copy_from(b"n" * 64)
        values = np.arange(64, dtype="u1").reshape(8, 8).T
        block.copy_from(values)
        assert as_videocore_sees(block) == values.tobytes()
        with block.lock("rw") as view:
            assert len(view) == 64
            view.array()[:] = 9
        assert as_videocore_sees(block) == b"\x09" * 64
        with pytest.raises(ValueError, match="65 bytes at offset 0"):
            block.copy_from(bytes(65))
        assert before.copy_to() == behind.copy_to() == b"n" * 64


def test_a_block_is_locked_while_its_object_is_gone() -> None:
    with vcsm.Pool(4096, limit=4096) as pool:
        view = pool.allocate(4096).lock("w")  # only the lock holds the memory from here on
        with pytest.raises(vcsm.OutOfMemory):
            pool.allocate(4096)
        view[:] = b"x" * 4096
        view.unlock()
        del view
        pool.allocate(4096)


def test_an_array_that_outlives_its_lock_keeps_the_memory_from_others() -> None:
    with vcsm.Pool(4096, limit=4096) as pool:
        block = pool.allocate(4096)
        view = block.lock("w")
        array = view.array()
        with pytest.raises(BufferError):
            view.unlock()
        del view
        block.close()
        with pytest.raises(vcsm.OutOfMemory):
            pool.allocate(4096)
        array[:] = 1
        del array
        pool.allocate(4096)


def test_resizing_keeps_the_content() -> None:
    with vcsm.Pool(MEBIBYTE) as pool:
        block, _neighbour = pool.allocate(100), pool.allocate(100)
        block.copy_from(b"k" * 100)
        block.resize(10_000)
        assert block.copy_to() == b"k" * 100 + bytes(9900)
        block.resize(5)
        assert block.copy_to() == b"kkkkk"
        with block.lock("r"), pytest.raises(vcsm.Error, match="locked"):
            block.resize(MEBIBYTE)


def test_whole_blocks_have_their_videocore_handle_alone_and_are_recycled(videocore: ModuleType) -> None:
    with vcsm.Pool(MEBIBYTE, "whole", whole_blocks=True) as pool:
        assert videocore.list() == []
        blocks = [pool.allocate(5000) for _ in range(3)]
        handles = {block.videocore_handle for block in blocks}
        assert len(handles) == 3
        for block in blocks:
            block.close()
        assert pool.allocate(5000).videocore_handle in handles


@pytest.mark.parametrize("whole", [False, True])
def test_with_zero_a_recycled_block_is_zero_to_its_last_byte(whole: bool) -> None:
    with vcsm.Pool(MEBIBYTE, zero=True, whole_blocks=whole, limit=MEBIBYTE) as pool:
        for _ in range(5):
            with pool.allocate(300_000) as block:
                assert not any(as_videocore_sees(block))
                block.copy_from(b"\xff" * 300_000)


def test_without_zero_it_holds_what_was_in_it() -> None:
    with vcsm.Pool(MEBIBYTE, limit=MEBIBYTE) as pool:
        with pool.allocate(1000) as block:
            address = block.bus_address
            block.copy_from(b"\xff" * 1000)
        with pool.allocate(1000) as block:
            assert block.bus_address == address
            assert block.copy_to() == b"\xff" * 1000


def test_alignment_cache_mode_and_growth_are_as_asked(videocore: ModuleType) -> None:
    with vcsm.Pool(65536, cache="host", alignment=1024, grow_by=131072, limit=65536 + 131072) as pool:
        first = pool.allocate(65536)
        assert first.granted_cache == "host"
        small = pool.allocate(1)
        assert small.bus_address % 1024 == 0
        assert pool.allocate(1, alignment=16384).bus_address % 16384 == 0
        assert sorted(one.capacity for one in videocore.list()) == [65536, 131072]
        with pytest.raises(vcsm.OutOfMemory, match="its limit of 196608 bytes"):
            pool.allocate(MEBIBYTE)
        assert pool.statistics().capacity == 65536 + 131072


def test_trim_and_keep_give_memory_back_to_the_driver(videocore: ModuleType) -> None:
    with vcsm.Pool(65536) as pool:
        blocks = [pool.allocate(65536) for _ in range(4)]
        blocks.clear()
        assert len(videocore.list()) == 4
        assert pool.trim() == 4 * 65536
        assert videocore.list() == []
        assert pool.allocate(100).size == 100
    with vcsm.Pool(65536, keep=65536) as pool:
        blocks = [pool.allocate(65536) for _ in range(4)]
        blocks.clear()
        pool.statistics()
        assert len(videocore.list()) == 1


def test_statistics() -> None:
    with vcsm.Pool(MEBIBYTE) as pool:
        empty = pool.statistics()
        assert empty == vcsm.PoolStatistics(0, 0, MEBIBYTE, MEBIBYTE, 0, MEBIBYTE, 1)
        assert empty.fragmentation == 0.0
        blocks = [pool.allocate(65536) for _ in range(16)]
        full = pool.statistics()
        assert (full.blocks, full.used, full.free, full.fragmentation) == (16, MEBIBYTE, 0, 0.0)
        del blocks[::2]
        half = pool.statistics()
        assert (half.blocks, half.used, half.free, half.largest_free) == (8, MEBIBYTE // 2, MEBIBYTE // 2, 65536)
        assert half.peak == MEBIBYTE
        assert half.fragmentation == pytest.approx(7 / 8)


def test_a_pool_may_be_closed_and_dropped_with_live_blocks(videocore: ModuleType) -> None:
    pool = vcsm.Pool(MEBIBYTE, "gone early")
    block = pool.allocate(100)
    assert not pool.closed
    pool.close()
    pool.close()
    assert pool.closed
    assert "closed" in repr(pool)
    with pytest.raises(vcsm.NoBlock, match='pool "gone early".*it was closed'):
        pool.allocate(1)
    for use in (pool.trim, pool.statistics, pool.__enter__):
        with pytest.raises(vcsm.NoBlock):
            use()
    assert pool.name == "gone early"
    del pool
    gc.collect()
    block.copy_from(b"lives on")
    assert as_videocore_sees(block)[:8] == b"lives on"
    del block
    assert videocore.list() == []


def test_the_pool_lives_as_long_as_its_last_block(videocore: ModuleType) -> None:
    block = vcsm.Pool(MEBIBYTE).allocate(100)
    block.copy_from(b"all that is left")
    assert block.copy_to()[:16] == b"all that is left"
    block.close()
    assert videocore.list() == []


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"size": 0}, ValueError, "at least 1 byte"),
        ({"size": -1}, ValueError, "cannot be negative"),
        ({"size": 1.5}, TypeError, "whole number of bytes"),
        ({"size": 1 << 62}, ValueError, "no device has that much|largest block"),
        ({"size": 1 << 70}, ValueError, "no machine has as many"),
        ({"size": 1 << 30}, vcsm.OutOfMemory, "1073741824 bytes"),
        ({"size": 4096, "alignment": 0}, ValueError, "no power of two"),
        ({"size": 4096, "alignment": 96}, ValueError, "96 bytes is no power of two"),
        ({"size": 4096, "cache": "gpu"}, ValueError, "known are none, host, videocore, both"),
        ({"size": 4096, "name": "a\0b"}, ValueError, "NUL"),
        ({"size": 4096, "name": b"bytes"}, TypeError, "is a str"),
        ({"size": 4096, "limit": -1}, ValueError, "a limit of -1 bytes"),
        ({"size": 4096, "grow_by": "x"}, TypeError, "a step of growth"),
        ({"size": 8192, "limit": 4096}, vcsm.OutOfMemory, "limit of 4096 bytes"),
    ],
)
def test_bad_arguments(videocore: ModuleType, arguments: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        vcsm.Pool(**arguments)
    gc.collect()
    assert videocore.list() == []


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((0,), ValueError, "at least 1 byte"),
        ((-1,), ValueError, "cannot be negative"),
        ((1.0,), TypeError, "whole number of bytes"),
        ((10, 3), ValueError, "3 bytes is no power of two"),
        ((10, 0), ValueError, "0 bytes is no power of two"),
        ((1 << 62,), ValueError, "no device has that much"),
        ((1 << 30,), vcsm.OutOfMemory, "1073741824 bytes"),
    ],
)
def test_bad_blocks_leave_the_pool_as_it_was(arguments: Any, error: type[Exception], sentence: str) -> None:
    with vcsm.Pool(MEBIBYTE) as pool:
        lives = pool.allocate(100)
        before = pool.statistics()
        with pytest.raises(error, match=sentence):
            pool.allocate(*arguments)
        assert pool.statistics() == before
        lives.copy_from(b"as before")


def test_sizes_may_be_numpys() -> None:
    with vcsm.Pool(np.uint32(65536)) as pool:
        assert pool.allocate(np.int64(100)).size == 100


def test_an_object_whose_block_went_back_cannot_reach_the_next_one() -> None:
    with vcsm.Pool(4096, "pool", limit=4096) as pool:
        old = pool.allocate(4096)
        old.close()
        new = pool.allocate(4096)
        for use in (old.copy_to, old.lock, old.location, old.share):
            with pytest.raises(vcsm.NoBlock, match="it was closed"):
                use()
        assert old.closed
        assert not new.closed


def test_after_the_service_stopped(videocore: ModuleType) -> None:
    pool = vcsm.Pool(MEBIBYTE, "stopped")
    unnamed, named = pool.allocate(10), pool.allocate(10)
    _ = named.handle
    videocore.reset()
    assert pool.closed
    assert unnamed.closed
    assert named.closed
    for use in (lambda: pool.allocate(1), unnamed.copy_to, named.copy_to):
        with pytest.raises(vcsm.NoBlock, match="freed when the service was stopped"):
            use()
    unnamed.close()
    with vcsm.Pool(4096) as again:
        again.allocate(10).copy_from(b"another")


def test_an_array_keeps_its_memory_when_the_service_stops(videocore: ModuleType) -> None:
    pool = vcsm.Pool(MEBIBYTE)
    block = pool.allocate(4096)
    view = block.lock("w")
    array = view.array()
    with pytest.raises(BufferError):
        view.unlock()
    videocore.reset()
    array[:] = 7
    del view, block, pool
    assert int(array.sum()) == 7 * 4096


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_no_pool_of_its_parents() -> None:
    with vcsm.Pool(MEBIBYTE, "parent's") as pool:
        block = pool.allocate(6)
        block.copy_from(b"parent")
        child = os.fork()
        if child == 0:
            try:
                for use in (lambda: pool.allocate(1), pool.statistics, block.copy_to):
                    with pytest.raises(vcsm.NoBlock, match=f"belongs to process {os.getppid()}"):
                        use()
                assert pool.closed
                block.close()
                pool.close()
                with vcsm.Pool(4096) as own:
                    own.allocate(5).copy_from(b"child")
                os._exit(0)
            except BaseException as failed:  # there is nobody above who could report it
                os.write(2, f"in the child: {failed!r}\n".encode())
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert block.copy_to() == b"parent"


def test_threads_share_a_pool_and_none_sees_anothers_bytes() -> None:
    wrong: list[BaseException] = []
    with vcsm.Pool(MEBIBYTE, zero=True) as pool:

        def work(number: int) -> None:
            try:
                for turn in range(200):
                    with pool.allocate(1 + 97 * turn % 5000) as block:
                        assert not any(block.copy_to())
                        block.copy_from(bytes([number]) * block.size)
                        assert block.copy_to() == bytes([number]) * block.size
            except BaseException as error:  # raised below
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert pool.statistics().blocks == 0


def test_blocks_keep_no_reference_cycles() -> None:
    gc.disable()
    try:
        with vcsm.Pool(MEBIBYTE) as pool:
            block = pool.allocate(10)
            del block
            assert pool.statistics().blocks == 0
            before = sys.getrefcount(pool)
            _ = [pool.allocate(10) for _ in range(10)]
            assert sys.getrefcount(pool) == before
    finally:
        gc.enable()


class PoolAgainstADict(RuleBasedStateMachine):
    """Random allocating, freeing, writing and resizing, beside a dict of what must be in each block."""

    blocks: dict[int, vcsm.SharedMemory]
    contents: dict[int, bytes]
    pool: vcsm.Pool

    @initialize(
        cache=st.sampled_from(["none", "host"]),
        whole=st.booleans(),
        alignment=st.sampled_from([1, 256, 4096]),
        keep=st.sampled_from([None, 0, 65536]),
    )
    def make(self, cache: str, whole: bool, alignment: int, keep: int | None) -> None:
        self.whole = whole
        self.alignment = max(alignment, 64)
        self.pool = vcsm.Pool(
            65536, "model", cache=cache, whole_blocks=whole, alignment=alignment, keep=keep, zero=True, limit=1 << 20
        )
        self.blocks = {}
        self.contents = {}
        self.next = 0

    @rule(size=st.integers(1, 40_000), power=st.integers(0, 13))
    def allocate(self, size: int, power: int) -> None:
        try:
            block = self.pool.allocate(size, 1 << power)
        except vcsm.OutOfMemory:
            # In the worst case the holes that alignment and rounding leave are as large as what is used.
            assert sum(len(content) for content in self.contents.values()) + size > 1 << 17
            return
        assert block.bus_address % max(self.alignment, 1 << power) == 0
        self.blocks[self.next] = block
        self.contents[self.next] = bytes(size)
        self.next += 1

    def one(self, data: st.DataObject) -> int:
        number: int = data.draw(st.sampled_from(sorted(self.blocks)))
        return number

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), how=st.sampled_from(["close", "drop", "named"]))
    def free(self, data: st.DataObject, how: str) -> None:
        number = self.one(data)
        block = self.blocks.pop(number)
        del self.contents[number]
        if how == "named":
            _ = block.handle
        if how != "drop":
            block.close()

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), byte=st.integers(1, 255), by_videocore=st.booleans())
    def write(self, data: st.DataObject, byte: int, by_videocore: bool) -> None:
        number = self.one(data)
        block, content = self.blocks[number], self.contents[number]
        begin = data.draw(st.integers(0, len(content)))
        written = bytes([byte]) * data.draw(st.integers(0, len(content) - begin))
        if by_videocore and written:
            handle, offset = block.location()
            vcsm.videocore.write(handle, written, offset + begin)
        else:
            block.copy_from(written, begin)
        self.contents[number] = content[:begin] + written + content[begin + len(written) :]

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), size=st.integers(1, 40_000))
    def resize(self, data: st.DataObject, size: int) -> None:
        number = self.one(data)
        try:
            self.blocks[number].resize(size)
        except vcsm.OutOfMemory:
            return
        self.contents[number] = self.contents[number][:size].ljust(size, b"\0")

    @rule()
    def trim(self) -> None:
        self.pool.trim()

    @invariant()
    def each_block_holds_what_the_dict_says(self) -> None:
        for number, block in getattr(self, "blocks", {}).items():
            assert block.copy_to() == self.contents[number]
            assert as_videocore_sees(block) == self.contents[number]

    @invariant()
    def none_overlaps_another(self) -> None:
        end = 0
        places = [(block.bus_address, block.capacity) for block in getattr(self, "blocks", {}).values()]
        for address, capacity in sorted(places):
            assert address >= end
            end = address + capacity

    @invariant()
    def the_statistics_are_true(self) -> None:
        if not hasattr(self, "pool"):
            return
        now = self.pool.statistics()
        assert now.blocks == len(self.blocks)
        assert now.used == sum(block.capacity for block in self.blocks.values())
        assert now.used + now.free == now.capacity <= 1 << 20
        assert now.largest_free <= now.free
        assert now.peak >= now.used
        assert now.capacity == sum(one.capacity for one in vcsm.videocore.list())

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.blocks.clear()
            self.pool.close()
            assert vcsm.videocore.list() == []


PoolAgainstADict.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPoolAgainstADict = PoolAgainstADict.TestCase
