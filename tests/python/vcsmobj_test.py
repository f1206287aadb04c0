"""picamera.vcsmobj, member by member, and each fault of the module that picamera forks published."""

from __future__ import annotations

import ctypes
import errno
import gc
import pickle
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from picamera.vcsmobj import (  # type: ignore[import-not-found]
    VideoCoreSharedMemory,
    VideoCoreSharedMemoryServiceManager,
    ensure_vcsm_init,
    vcsm_exit,
)

import vcsm
import vcsm.vcsmobj


def seen(block: VideoCoreSharedMemory) -> bytes:
    """What VideoCore has in the block."""
    return vcsm.videocore.read(block.videocore_handle)


def test_it_is_vcsm_vcsmobj() -> None:
    assert VideoCoreSharedMemory is vcsm.vcsmobj.VideoCoreSharedMemory
    assert VideoCoreSharedMemoryServiceManager is vcsm.vcsmobj.VideoCoreSharedMemoryServiceManager
    assert ensure_vcsm_init is vcsm.vcsmobj.ensure_vcsm_init
    assert vcsm_exit is vcsm.vcsmobj.vcsm_exit


class TestMembers:
    def test_a_block_is_made_with_positional_or_keyword_arguments(self) -> None:
        blocks = [VideoCoreSharedMemory(100, "test_data"), VideoCoreSharedMemory(size=100, name="test_data")]
        assert [(block.size, block.name) for block in vcsm.blocks()] == [(100, "test_data")] * 2
        del blocks

    def test_both_handles_are_ints_above_0(self) -> None:
        block = VideoCoreSharedMemory(100, "handles")
        assert type(block.handle) is int
        assert block.handle > 0
        assert type(block.videocore_handle) is int
        assert block.videocore_handle > 0
        assert vcsm.blocks()[0].handle == block.handle
        assert vcsm.videocore.list()[0].videocore_handle == block.videocore_handle

    def test_videocore_sees_what_is_copied_after_it_was_given_the_handle(self) -> None:
        block = VideoCoreSharedMemory(3, "grid")
        handle = block.videocore_handle
        block.copy_from_memoryview(memoryview(b"abc"))
        assert vcsm.videocore.read(handle) == b"abc"

    def test_videocore_goes_on_using_a_block_whose_object_was_dropped(self, videocore: ModuleType) -> None:
        block = VideoCoreSharedMemory(3, "grid")
        handle = block.videocore_handle
        videocore.hold(handle)  # as setting the lens-shading parameter does
        block.copy_from_memoryview(memoryview(b"abc"))
        del block
        assert vcsm.blocks() == []
        assert videocore.read(handle) == b"abc"
        videocore.release(handle)
        assert videocore.list() == []

    def test_lock_gives_the_address_and_unlocks_at_the_end(self) -> None:
        block = VideoCoreSharedMemory(10, "address")
        with block.lock() as pointer:
            assert type(pointer) is int
            assert vcsm.blocks()[0].locks == 1
            ctypes.memmove(pointer, b"12345", 5)
            ctypes.memmove(pointer + 5, b"67890", 5)
        assert vcsm.blocks()[0].locks == 0
        assert seen(block) == b"1234567890"

    def test_lock_unlocks_after_an_exception(self) -> None:
        block = VideoCoreSharedMemory(10, "exception")
        with pytest.raises(KeyError, match="mine"), block.lock():
            raise KeyError("mine")
        assert vcsm.blocks()[0].locks == 0

    def test_locks_nest(self) -> None:
        block = VideoCoreSharedMemory(10, "nested")
        with block.lock() as outer, block.lock() as inner:
            assert outer == inner
            assert vcsm.blocks()[0].locks == 2
        assert vcsm.blocks()[0].locks == 0

    def test_a_block_dropped_while_locked_stays_mapped_until_the_lock_ends(self) -> None:
        block = VideoCoreSharedMemory(10, "dropped")
        with block.lock() as pointer:
            del block
            ctypes.memset(pointer, 1, 10)

    def test_del_frees_the_block(self) -> None:
        block = VideoCoreSharedMemory(10, "freed")
        handle = block.videocore_handle
        del block
        assert vcsm.blocks() == []
        with pytest.raises(vcsm.Error, match="ENOENT"):
            vcsm.videocore.read(handle)

    def test_garbage_collection_frees_a_block_in_a_cycle(self) -> None:
        cycle: list[object] = [VideoCoreSharedMemory(10, "cycle")]
        cycle.append(cycle)
        del cycle
        gc.collect()
        assert vcsm.blocks() == []

    def test_the_modern_object_is_the_same_block(self) -> None:
        block = VideoCoreSharedMemory(10, "modern")
        assert block.shared_memory.handle == block.handle

    def test_it_shows_itself(self) -> None:
        block = VideoCoreSharedMemory(10, "shown")
        assert repr(block) == f"<VideoCoreSharedMemory 'shown', 10 bytes, handle {block.handle}, on simulated>"


class TestCopyFromBuffer:
    def test_ctypes_array(self) -> None:
        block = VideoCoreSharedMemory(6, "array")
        block.copy_from_buffer((ctypes.c_uint16 * 3)(1, 2, 3))
        assert seen(block) == b"\1\0\2\0\3\0"

    def test_structure(self) -> None:
        class Pair(ctypes.Structure):
            _fields_ = [("first", ctypes.c_uint8), ("second", ctypes.c_uint8)]

        block = VideoCoreSharedMemory(2, "structure")
        block.copy_from_buffer(Pair(7, 8))
        assert seen(block) == b"\7\x08"

    @pytest.mark.parametrize("kind", ["c_void_p", "POINTER", "address", "byref", "c_char_p"])
    def test_pointers(self, kind: str) -> None:
        source = ctypes.create_string_buffer(b"abcdef", 6)
        makers: dict[str, Callable[[], object]] = {
            "c_void_p": lambda: ctypes.c_void_p(ctypes.addressof(source)),
            "POINTER": lambda: ctypes.cast(source, ctypes.POINTER(ctypes.c_uint8)),
            "address": lambda: ctypes.addressof(source),
            "byref": lambda: ctypes.byref(source),
            "c_char_p": lambda: ctypes.c_char_p(b"abcdef"),
        }
        block = VideoCoreSharedMemory(6, kind)
        block.copy_from_buffer(makers[kind]())
        assert seen(block) == b"abcdef"

    def test_bytes_and_other_buffers(self) -> None:
        block = VideoCoreSharedMemory(4, "bytes")
        for source in (b"abcd", bytearray(b"efgh"), np.frombuffer(b"ijkl", "u2")):
            block.copy_from_buffer(source)
            assert seen(block) == bytes(memoryview(source))

    def test_a_size_beyond_the_block_is_refused_and_nothing_copied(self) -> None:
        block = VideoCoreSharedMemory(4, "small")
        with pytest.raises(ValueError, match=r"cannot copy 5 bytes: block 'small' has 4 bytes"):
            block.copy_from_buffer((ctypes.c_uint8 * 5)(*range(5)), size=5)
        assert seen(block) == bytes(4)

    def test_a_size_below_the_block_warns(self) -> None:
        block = VideoCoreSharedMemory(4, "large")
        with pytest.warns(UserWarning, match="copying 2 bytes to block 'large' of 4 bytes"):
            block.copy_from_buffer((ctypes.c_uint8 * 4)(1, 2, 3, 4), 2)
        assert seen(block) == b"\1\2\0\0"

    def test_a_source_larger_than_the_block_fills_it(self) -> None:
        block = VideoCoreSharedMemory(2, "filled")
        block.copy_from_buffer((ctypes.c_uint8 * 4)(1, 2, 3, 4))
        assert seen(block) == b"\1\2"

    def test_a_size_beyond_a_known_source_is_refused(self) -> None:
        block = VideoCoreSharedMemory(8, "known")
        with pytest.raises(ValueError, match="the source has 4 bytes"):
            block.copy_from_buffer((ctypes.c_uint8 * 4)(), 5)

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            (None, TypeError),
            ("text", TypeError),
            ([1, 2, 3], TypeError),
            (0, ValueError),
            (-1, ValueError),
            (1 << 80, ValueError),
            (ctypes.c_void_p(), ValueError),
            (ctypes.POINTER(ctypes.c_int)(), ValueError),
            (np.zeros(8, "u1")[::2], ValueError),
        ],
    )
    def test_no_source_at_all(self, source: object, error: type[Exception]) -> None:
        block = VideoCoreSharedMemory(4, "none")
        with pytest.raises(error):
            block.copy_from_buffer(source)
        assert vcsm.blocks()[0].locks == 0

    @pytest.mark.parametrize(
        ("size", "error"), [(1.0, TypeError), ("1", TypeError), (-1, ValueError), (1 << 70, ValueError)]
    )
    def test_no_size_at_all(self, size: object, error: type[Exception]) -> None:
        block = VideoCoreSharedMemory(4, "none")
        with pytest.raises(error):
            block.copy_from_buffer(b"abcd", size)


class TestCopyFromMemoryview:
    def test_any_format(self) -> None:
        values = np.arange(6, dtype=">f8").reshape(2, 3)
        block = VideoCoreSharedMemory(values.nbytes, "formats")
        block.copy_from_memoryview(memoryview(values))
        assert seen(block) == values.tobytes()

    def test_writable(self) -> None:
        block = VideoCoreSharedMemory(4, "writable")
        block.copy_from_memoryview(memoryview(bytearray(b"abcd")))
        assert seen(block) == b"abcd"

    def test_what_is_no_memoryview_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "bytes")
        with pytest.raises(ValueError, match="takes a memoryview, not a bytes"):
            block.copy_from_memoryview(b"abcd")

    def test_one_with_gaps_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "gaps")
        with pytest.raises(ValueError, match="contiguous"):
            block.copy_from_memoryview(memoryview(b"abcdefgh")[::2])
        assert seen(block) == bytes(4)

    def test_one_that_was_released_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "released")
        source = memoryview(b"abcd")
        source.release()
        with pytest.raises(ValueError, match="released"):
            block.copy_from_memoryview(source)

    def test_one_larger_than_the_block_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "small")
        with pytest.raises(ValueError, match='5 bytes at offset 0 of block "small" of 4 bytes'):
            block.copy_from_memoryview(memoryview(b"abcde"))
        assert seen(block) == bytes(4)


class TestCopyFromArray:
    def test_one_larger_than_the_block_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "small")
        with pytest.raises(ValueError, match='cannot copy 8 bytes at offset 0 of block "small" of 4 bytes'):
            block.copy_from_array(np.zeros(2, "u4"))

    def test_one_with_gaps_larger_than_the_block_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "small")
        with pytest.raises(ValueError, match='8 bytes at offset 0 of block "small" of 4 bytes'):
            block.copy_from_array(np.ones(4, "u4")[::2])
        assert seen(block) == bytes(4)

    def test_a_smaller_one_leaves_the_rest(self) -> None:
        block = VideoCoreSharedMemory(4, "large")
        block.copy_from_array(np.full(4, 1, "u1"))
        block.copy_from_array(np.full(2, 9, "u1"))
        assert seen(block) == b"\x09\x09\1\1"

    def test_what_is_no_array_is_refused(self) -> None:
        block = VideoCoreSharedMemory(4, "list")
        with pytest.raises(TypeError, match="cannot copy from a list: it has no buffer"):
            block.copy_from_array([1, 2, 3])


class TestService:
    def test_a_block_starts_it(self) -> None:
        block = VideoCoreSharedMemory(4, "starts")
        assert [known.handle for known in vcsm.blocks()] == [block.handle]

    def test_ensure_vcsm_init_holds_it_once_however_often_it_is_called(self) -> None:
        for _ in range(3):
            ensure_vcsm_init()
        manager = VideoCoreSharedMemoryServiceManager()
        block = VideoCoreSharedMemory(4, "kept")
        manager.exit()
        assert block.handle > 0  # ensure_vcsm_init() still holds the service
        vcsm_exit()
        with pytest.raises(vcsm.Error, match="service was stopped"):
            _ = block.handle

    def test_the_last_manager_stops_it(self) -> None:
        first = VideoCoreSharedMemoryServiceManager()
        second = VideoCoreSharedMemoryServiceManager()
        block = VideoCoreSharedMemory(4, "managed")
        first.exit()
        assert block.handle > 0
        second.exit()
        with pytest.raises(vcsm.Error, match="service was stopped"):
            _ = block.handle

    def test_exit_twice_is_an_error(self) -> None:
        manager = VideoCoreSharedMemoryServiceManager()
        manager.exit()
        with pytest.raises(vcsm.Error, match="let go of it already"):
            manager.exit()

    def test_a_collected_manager_lets_go(self) -> None:
        manager = VideoCoreSharedMemoryServiceManager()
        block = VideoCoreSharedMemory(4, "collected")
        del manager
        with pytest.raises(vcsm.Error, match="service was stopped"):
            _ = block.handle

    def test_a_manager_of_a_service_that_was_stopped_stops_no_later_one(self) -> None:
        manager = VideoCoreSharedMemoryServiceManager()
        vcsm_exit()
        block = VideoCoreSharedMemory(4, "later")
        manager.exit()
        assert block.handle > 0

    def test_vcsm_exit_warns_when_it_is_not_running(self) -> None:
        with pytest.warns(UserWarning, match="not running"):
            vcsm_exit()

    def test_it_starts_again_any_number_of_times(self) -> None:
        handles = set()
        for _ in range(20):
            block = VideoCoreSharedMemory(4, "again")
            block.copy_from_memoryview(memoryview(b"abcd"))
            assert seen(block) == b"abcd"
            handles.add(block.handle)
            vcsm_exit()
        assert len(handles) == 20

    def test_vcsm_exit_frees_every_block(self) -> None:
        blocks = [VideoCoreSharedMemory(4096, str(number)) for number in range(5)]
        vcsm_exit()
        assert vcsm.blocks() == []
        assert vcsm.videocore.list() == []
        for block in blocks:
            with pytest.raises(vcsm.NoBlock):
                block.copy_from_array(np.zeros(4))

    def test_a_lock_that_outlives_the_service_ends_quietly(self) -> None:
        block = VideoCoreSharedMemory(4, "outlived")
        with block.lock() as pointer:
            vcsm_exit()
            ctypes.memset(pointer, 1, 4)

    def test_a_service_that_cannot_start_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VCSM_SIM_MEMORY", "nonsense")
        with pytest.raises(vcsm.Error, match="VCSM_SIM_MEMORY"):
            ensure_vcsm_init()


class TestFaultsOfThePublishedModule:
    """Each was seen in a run of it; none is repeated."""

    def test_copy_from_array_of_100_uint16_copies_200_bytes(self) -> None:
        values = np.arange(1000, 1100, dtype=np.uint16)
        block = VideoCoreSharedMemory(200, "uint16")
        block.copy_from_array(values)
        assert seen(block) == values.tobytes()

    def test_copy_from_buffer_of_10_bytes_into_8192_reads_no_other_memory(self) -> None:
        block = VideoCoreSharedMemory(8192, "larger")
        with pytest.raises(ValueError, match="the source has 10 bytes"):
            block.copy_from_buffer((ctypes.c_uint8 * 10)(*range(1, 11)))
        assert seen(block) == bytes(8192)

    @pytest.mark.parametrize(
        ("size", "error"), [(0, ValueError), (1 << 62, ValueError), (1 << 40, vcsm.OutOfMemory), (-1, ValueError)]
    )
    def test_an_allocation_that_fails_is_one_clear_error(self, size: int, error: type[Exception]) -> None:
        with pytest.raises(error) as raised:
            VideoCoreSharedMemory(size, "refused")
        assert raised.value.__context__ is None
        gc.collect()  # the published module fails a second time here
        assert vcsm.blocks() == []

    def test_no_memory_is_a_memory_error_with_errno_and_says_how_much_there_is(self) -> None:
        with pytest.raises(MemoryError) as raised:
            VideoCoreSharedMemory(1 << 40, "too_large")
        assert isinstance(raised.value, vcsm.OutOfMemory)
        assert isinstance(raised.value, OSError)
        assert raised.value.errno == errno.ENOMEM
        text = str(raised.value)
        assert '"too_large" of 1099511627776 bytes on simulated' in text
        assert "134217728 bytes are free" in text

    def test_vcsm_exit_stops_the_service(self) -> None:
        ensure_vcsm_init()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            vcsm_exit()
        with pytest.warns(UserWarning, match="not running"):
            vcsm_exit()

    @pytest.mark.videocore(faults="lock@1-9=EIO")
    def test_a_lock_that_fails_hands_out_no_pointer(self) -> None:
        block = VideoCoreSharedMemory(4, "locked")
        with pytest.raises(vcsm.Error, match="EIO") as raised, block.lock():
            pytest.fail("the lock was handed out")
        assert raised.value.errno == errno.EIO
        with pytest.raises(vcsm.Error, match="EIO"):
            block.copy_from_array(np.zeros(4, "u1"))
        assert vcsm.blocks()[0].locks == 0

    def test_warn_if_small_false_does_not_warn(self) -> None:
        block = VideoCoreSharedMemory(4, "quiet")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            block.copy_from_buffer((ctypes.c_uint8 * 2)(1, 2), 2, warn_if_small=False)
        assert seen(block) == b"\1\2\0\0"

    def test_a_read_only_memoryview_is_copied_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # One copy takes one lock: the second is made to fail.
        monkeypatch.setenv("VCSM_SIM_FAULTS", "lock@2=EIO")
        vcsm.videocore.reset()
        block = VideoCoreSharedMemory(4, "once")
        block.copy_from_memoryview(memoryview(b"abcd"))
        assert seen(block) == b"abcd"

    @pytest.mark.parametrize("order", ["strided", "fortran", "reversed", "transposed"])
    def test_a_strided_or_fortran_ordered_array_is_copied_in_c_order(self, order: str) -> None:
        values = np.arange(24, dtype=np.uint16).reshape(4, 6)
        array = {
            "strided": values[::2, 1::3],
            "fortran": np.asfortranarray(values),
            "reversed": values[::-1, ::-1],
            "transposed": values.T,
        }[order]
        block = VideoCoreSharedMemory(array.nbytes, order)
        block.copy_from_array(array)
        assert seen(block) == array.tobytes()


def test_it_pickles_through_multiprocessing() -> None:
    block = VideoCoreSharedMemory(4, "pickled")
    block.copy_from_array(np.arange(4, dtype="u1"))
    again = pickle.loads(pickle.dumps(block))
    assert isinstance(again, VideoCoreSharedMemory)
    assert again.handle != block.handle
    assert again.shared_memory.copy_to() == b"\0\1\2\3"
    from multiprocessing import resource_sharer

    resource_sharer.stop()
