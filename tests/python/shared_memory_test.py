"""vcsm.SharedMemory: one block, from its making to its end."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
from types import ModuleType

import numpy as np
import pytest

import vcsm


def test_a_block_is_zero_at_first() -> None:
    with vcsm.SharedMemory(5000, "zero") as block:
        assert block.copy_to() == bytes(5000)


def test_what_it_tells_of_itself() -> None:
    with vcsm.SharedMemory(100, "told") as block:
        assert block.size == 100
        assert block.capacity % os.sysconf("SC_PAGE_SIZE") == 0
        assert block.capacity >= 100
        assert block.name == "told"
        assert block.device == "simulated"
        assert block.granted_cache == "none"
        assert 0 < block.handle < 2**31
        listed = vcsm.videocore.list()[0]
        assert (block.videocore_handle, block.bus_address) == (listed.videocore_handle, listed.bus_address)
        assert (listed.name, listed.size, listed.allocated) == ("told", 100, True)
        assert repr(block) == f"<vcsm.SharedMemory 'told', 100 bytes, handle {block.handle}, on simulated>"


def test_blocks_lists_them_all() -> None:
    with vcsm.SharedMemory(1, "first") as first, vcsm.SharedMemory(2, "second", cache="host") as second:
        with second.lock("r"):
            listed = vcsm.blocks()
        assert [(b.handle, b.name, b.size, b.granted_cache, b.locks) for b in listed] == [
            (first.handle, "first", 1, "none", 0),
            (second.handle, "second", 2, "host", 1),
        ]
        assert listed[0].videocore_handle == first.videocore_handle
        assert listed[0].bus_address == first.bus_address
        assert listed[0].device == "simulated"


@pytest.mark.parametrize("cache", ["none", "host", "videocore", "both"])
def test_every_cache_mode_hands_the_data_over(cache: str) -> None:
    with vcsm.SharedMemory(1000, cache, cache=cache) as block:
        assert block.granted_cache == cache
        block.copy_from(bytes(range(100)), 900)
        assert vcsm.videocore.read(block.videocore_handle) == bytes(900) + bytes(range(100))
        vcsm.videocore.write(block.videocore_handle, b"back", 4)
        assert block.copy_to(bytearray(4), 4) == b"back"


def test_alignment_is_that_of_the_bus_address() -> None:
    with vcsm.SharedMemory(1, "page"), vcsm.SharedMemory(1, "aligned", alignment=1 << 20) as block:
        assert block.bus_address % (1 << 20) == 0


def test_the_end_of_with_closes() -> None:
    with vcsm.SharedMemory(1, "with") as block:
        assert not block.closed
    assert block.closed
    assert vcsm.blocks() == []
    assert repr(block) == "<vcsm.SharedMemory 'with', closed>"


def test_close_twice_is_harmless() -> None:
    block = vcsm.SharedMemory(1, "twice")
    block.close()
    block.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda block: block.size,
        lambda block: block.capacity,
        lambda block: block.handle,
        lambda block: block.device,
        lambda block: block.granted_cache,
        lambda block: block.videocore_handle,
        lambda block: block.bus_address,
        lambda block: block.fileno(),
        lambda block: block.export(),
        lambda block: block.lock("r"),
        lambda block: block.copy_from(b"a"),
        lambda block: block.copy_to(),
        lambda block: block.copy_to(bytearray(1)),
        lambda block: block.copy_to(dtype="u1"),
        lambda block: block.resize(2),
        lambda block: block.share(),
        lambda block: block.__enter__(),
        lambda block: block.__reduce__(),
    ],
)
def test_a_closed_block_says_so(use: object) -> None:
    block = vcsm.SharedMemory(1, "closed one")
    block.close()
    with pytest.raises(vcsm.NoBlock, match='cannot use block "closed one": .*make a new one') as raised:
        use(block)  # type: ignore[operator]
    assert raised.value.errno == errno.EBADF
    assert block.name == "closed one"


def test_dropping_the_object_frees_the_block() -> None:
    block = vcsm.SharedMemory(1, "dropped")
    handle = block.videocore_handle
    del block
    assert vcsm.blocks() == []
    assert handle not in [known.videocore_handle for known in vcsm.videocore.list()]


def test_share_is_a_second_handle_to_the_same_block() -> None:
    block = vcsm.SharedMemory(4, "shared")
    second = block.share()
    assert second.handle != block.handle
    block.copy_from(b"same")
    block.close()
    assert second.copy_to() == b"same"
    second.close()
    assert vcsm.blocks() == []


def test_resize_keeps_the_content_and_the_handle() -> None:
    with vcsm.SharedMemory(4, "resized") as block:
        handle = block.handle
        block.copy_from(b"kept")
        block.resize(10000)
        assert (block.size, block.handle) == (10000, handle)
        assert block.copy_to() == b"kept" + bytes(9996)
        with block.lock("r"), pytest.raises(vcsm.Error, match="locked") as raised:
            block.resize(1)
        assert raised.value.errno == errno.EBUSY
        assert block.size == 10000


def test_fileno_is_the_blocks_own_descriptor() -> None:
    with vcsm.SharedMemory(4, "own") as block:
        descriptor = block.fileno()
        assert block.fileno() == descriptor
        assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_export_gives_a_descriptor_of_the_callers() -> None:
    block = vcsm.SharedMemory(4, "exported")
    descriptor = block.export()
    try:
        assert descriptor != block.fileno()
        assert not os.get_inheritable(descriptor)
        block.close()
        assert os.fstat(descriptor).st_size > 0
    finally:
        os.close(descriptor)


def test_importing_ones_own_block_gives_a_second_handle_to_it() -> None:
    with vcsm.SharedMemory(4, "own") as block:
        block.copy_from(b"abcd")
        with vcsm.SharedMemory.from_dmabuf(block) as second:  # it has fileno()
            assert second.handle != block.handle
            assert second.videocore_handle == block.videocore_handle
            assert (second.size, second.copy_to()) == (4, b"abcd")


@pytest.mark.parametrize(("fd", "error"), [(-1, ValueError), (1 << 40, ValueError), (None, AttributeError)])
def test_what_is_no_descriptor_cannot_be_imported(fd: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        vcsm.SharedMemory.from_dmabuf(fd)  # type: ignore[arg-type]


def test_a_descriptor_of_something_else_cannot_be_imported() -> None:
    with open(os.devnull) as other, pytest.raises(vcsm.Error, match="cannot import"):
        vcsm.SharedMemory.from_dmabuf(other)


class TestArguments:
    @pytest.mark.parametrize("size", [np.int8(100), np.uint64(100), np.int64(100), True])
    def test_any_whole_number_is_a_size(self, size: int) -> None:
        with vcsm.SharedMemory(size, "numpy") as block:
            assert block.size == int(size)

    @pytest.mark.parametrize("size", [1.0, 1.5, float("nan"), np.float64(8), "100", b"1", None, [1], 1j])
    def test_nothing_else_is(self, size: object) -> None:
        with pytest.raises(TypeError, match="a size is a whole number of bytes"):
            vcsm.SharedMemory(size, "wrong")  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [0, -1, -(2**70), 2**63, 2**70, 2**63 - 1, np.int32(-5)])
    def test_no_device_has_blocks_of_such_sizes(self, size: int) -> None:
        with pytest.raises(ValueError, match=r"size|byte"):
            vcsm.SharedMemory(size, "wrong")
        assert vcsm.blocks() == []

    @pytest.mark.videocore(memory="1M")
    def test_too_large_for_the_memory_is_out_of_memory_and_leaves_nothing(self, videocore: ModuleType) -> None:
        with pytest.raises(vcsm.OutOfMemory, match='"big" of 2097152 bytes on simulated: Cannot allocate memory'):
            vcsm.SharedMemory(2 << 20, "big")
        assert vcsm.blocks() == []
        assert videocore.list() == []
        with vcsm.SharedMemory(1 << 20, "all of it"):
            pass

    @pytest.mark.parametrize("name", ["", "grün – 鳥 🐦", "x" * 10000, "with \n newline", 'with "quotes"'])
    def test_any_text_is_a_name_and_kept_whole(self, name: str) -> None:
        with vcsm.SharedMemory(1, name) as block:
            assert block.name == name
            assert vcsm.blocks()[0].name == name
            assert vcsm.videocore.list()[0].name == name

    @pytest.mark.parametrize("name", ["a\0b", "\0", "\ud800"])
    def test_a_name_with_nul_or_half_a_character_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"NUL|surrogates"):
            vcsm.SharedMemory(1, name)

    @pytest.mark.parametrize("name", [b"bytes", None, 1])
    def test_a_name_is_a_str(self, name: object) -> None:
        with pytest.raises(TypeError, match="the name of a block is a str"):
            vcsm.SharedMemory(1, name)  # type: ignore[arg-type]

    @pytest.mark.parametrize("alignment", [0, 3, 4097])
    def test_an_alignment_is_a_power_of_two(self, alignment: int) -> None:
        with pytest.raises(ValueError, match="alignment"):
            vcsm.SharedMemory(1, "aligned", alignment=alignment)

    def test_an_unknown_cache_mode_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match="none, host, videocore, both"):
            vcsm.SharedMemory(1, "cached", cache="gpu")

    def test_importing_more_bytes_than_there_are_is_refused(self) -> None:
        descriptor = vcsm.SharedMemory(1, "gone").export()
        gc.collect()
        try:
            with pytest.raises(ValueError, match="byte"):
                vcsm.SharedMemory.from_dmabuf(descriptor, size=1 << 30)
            with vcsm.SharedMemory.from_dmabuf(descriptor, "part", size=3) as part:
                assert (part.size, part.name) == (3, "part")
        finally:
            os.close(descriptor)


class TestFaults:
    @pytest.mark.videocore(faults="alloc@1=ENOMEM")
    def test_a_device_without_memory(self) -> None:
        with pytest.raises(vcsm.OutOfMemory):
            vcsm.SharedMemory(1, "refused")
        with vcsm.SharedMemory(1, "second try"):
            pass

    @pytest.mark.videocore(faults="map@1=EIO")
    def test_a_mapping_that_fails_leaves_nothing(self, videocore: ModuleType) -> None:
        with pytest.raises(vcsm.Error, match="EIO"):
            vcsm.SharedMemory(1, "unmapped")
        assert videocore.list() == []

    @pytest.mark.videocore(faults="unlock@1=EIO,unlock@2=EIO")
    def test_an_unlock_that_fails_is_told_and_unlocks(self) -> None:
        with vcsm.SharedMemory(4, "unlocked") as block:
            with pytest.raises(vcsm.Error, match="cannot unlock"), block.lock("w") as view:
                view[0] = 1
            assert vcsm.blocks()[0].locks == 0
            with pytest.raises(vcsm.Error, match="EIO"):
                block.copy_from(b"abcd")
            assert vcsm.blocks()[0].locks == 0
            block.copy_from(b"abcd")

    @pytest.mark.videocore(faults="sync@*=EINTR,lock@*=EAGAIN,alloc@*=EINTR")
    def test_interrupted_calls_are_repeated(self, videocore: ModuleType) -> None:
        with vcsm.SharedMemory(4, "interrupted", cache="host") as block:
            block.copy_from(b"abcd")
            assert videocore.read(block.videocore_handle) == b"abcd"

    @pytest.mark.videocore(faults="resize@1=ENOMEM")
    def test_a_resize_that_fails_keeps_the_block(self) -> None:
        with vcsm.SharedMemory(4, "kept") as block:
            block.copy_from(b"abcd")
            with pytest.raises(vcsm.OutOfMemory):
                block.resize(8)
            assert block.copy_to() == b"abcd"


def test_errors_are_os_errors_with_errno() -> None:
    assert issubclass(vcsm.Error, OSError)
    assert issubclass(vcsm.OutOfMemory, vcsm.Error)
    assert issubclass(vcsm.OutOfMemory, MemoryError)
    for kind in (vcsm.NotSupported, vcsm.NoBlock):
        assert issubclass(kind, vcsm.Error)


class TestDevices:
    def test_the_simulated_one_is_listed(self) -> None:
        simulated = {device.name: device for device in vcsm.devices()}["simulated"]
        assert simulated.usable
        assert simulated.node == ""
        assert simulated.videocore_handle
        assert simulated.dmabuf
        assert simulated.max_bytes > 1 << 30

    def test_an_unknown_one_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match=r"vcsm-cma.*simulated"):
            vcsm.use("frobnicator")

    def test_another_cannot_be_used_while_blocks_live(self) -> None:
        with vcsm.SharedMemory(1, "alive"), pytest.raises(vcsm.Error):
            vcsm.use("vcsm-cma")


class TestVideoCore:
    def test_read_takes_a_part(self) -> None:
        with vcsm.SharedMemory(6, "part") as block:
            block.copy_from(b"abcdef")
            assert vcsm.videocore.read(block.videocore_handle, 2) == b"cdef"
            assert vcsm.videocore.read(block.videocore_handle, 2, 3) == b"cde"
            assert vcsm.videocore.read(block.videocore_handle, 6) == b""

    def test_write_takes_any_buffer(self) -> None:
        with vcsm.SharedMemory(6, "written") as block:
            vcsm.videocore.write(block.videocore_handle, np.array([1, 2, 3], ">u2"))
            assert block.copy_to() == b"\0\1\0\2\0\3"

    def test_hold_and_release_count(self) -> None:
        block = vcsm.SharedMemory(3, "held")
        handle = block.videocore_handle
        vcsm.videocore.hold(handle)
        vcsm.videocore.hold(handle)
        block.copy_from(b"abc")
        block.close()
        held = vcsm.videocore.list()[0]
        assert (held.held, held.allocated) == (2, False)
        vcsm.videocore.release(handle)
        assert vcsm.videocore.read(handle) == b"abc"
        vcsm.videocore.release(handle)
        with pytest.raises(vcsm.Error, match="ENOENT"):
            vcsm.videocore.read(handle)

    @pytest.mark.parametrize(
        "ask",
        [
            lambda handle: vcsm.videocore.read(handle),
            lambda handle: vcsm.videocore.read(handle, 0, 1),
            lambda handle: vcsm.videocore.write(handle, b"a"),
            lambda handle: vcsm.videocore.hold(handle),
            lambda handle: vcsm.videocore.release(handle),
        ],
    )
    def test_an_unknown_handle_is_an_error(self, ask: object) -> None:
        with pytest.raises(vcsm.Error) as raised:
            ask(12345)  # type: ignore[operator]
        assert raised.value.errno == errno.ENOENT
        with pytest.raises(ValueError, match="handle"):
            ask(-1)  # type: ignore[operator]
        with pytest.raises(TypeError, match="handle"):
            ask(1.5)  # type: ignore[operator]

    def test_beyond_the_block_is_an_error(self) -> None:
        with vcsm.SharedMemory(10, "short") as block:
            for offset, size in ((1 << 20, 1), (0, 1 << 20), (1 << 62, 1), (0, 1 << 50)):
                with pytest.raises(vcsm.Error):
                    vcsm.videocore.read(block.videocore_handle, offset, size)

    def test_reset_frees_everything(self) -> None:
        block = vcsm.SharedMemory(10, "gone")
        vcsm.videocore.hold(block.videocore_handle)
        vcsm.videocore.reset()
        assert vcsm.videocore.list() == []
        assert block.closed


def test_a_ctypes_object_is_copied_whole() -> None:
    with vcsm.SharedMemory(8, "ctypes") as block:
        block.copy_from((ctypes.c_double * 1)(1.5))
        assert block.copy_to(dtype="f8")[0] == 1.5
