"""Locks: VideoCore memory itself as a buffer and as NumPy arrays, and what becomes of those that outlive their lock."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable

import numpy as np
import pytest

import vcsm


def test_what_is_written_is_with_videocore_when_the_lock_ends() -> None:
    for cache in ("none", "host"):
        with vcsm.SharedMemory(10, "written", cache=cache) as block:
            with block.lock("w") as view:
                view[:3] = b"abc"
                view[9] = 7
            assert vcsm.videocore.read(block.videocore_handle) == b"abc\0\0\0\0\0\0\7"


def test_a_host_cached_block_is_with_videocore_only_when_the_lock_ends() -> None:
    with vcsm.SharedMemory(1, "cached", cache="host") as block:
        with block.lock("w") as view:
            view[0] = 7
            assert vcsm.videocore.read(block.videocore_handle) == b"\0"
        assert vcsm.videocore.read(block.videocore_handle) == b"\7"


def test_it_is_used_as_a_memoryview_is() -> None:
    with vcsm.SharedMemory(6, "used") as block:
        block.copy_from(b"abcdef")
        with block.lock("rw") as view:
            assert len(view) == view.nbytes == 6
            assert view[0] == ord("a")
            assert view[-1] == ord("f")
            assert bytes(view[1:3]) == b"bc"
            assert list(view) == list(b"abcdef")
            assert view == b"abcdef"
            assert view != b"abcdeg"
            assert bytes(view) == view.tobytes() == b"abcdef"
            assert view.tolist() == list(b"abcdef")
            assert view.hex() == b"abcdef".hex()
            assert view.cast("H")[0] == int.from_bytes(b"ab", "little")
            assert view.cast("B", (2, 3)).shape == (2, 3)
            assert io.BytesIO(b"xy").readinto(view) == 2
            assert view == b"xycdef"
            assert repr(view) == "<vcsm.View of block 'used', 6 bytes, writable>"
            with pytest.raises(IndexError):
                view[6]
            with pytest.raises(ValueError, match="structure"):
                view[0:2] = b"abc"


def test_a_lock_for_reading_cannot_be_written() -> None:
    with vcsm.SharedMemory(4, "read") as block, block.lock("r") as view:
        assert view.readonly
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 1
        assert not view.array().flags.writeable
        assert repr(view) == "<vcsm.View of block 'read', 4 bytes, read-only>"


def test_an_unknown_mode_is_refused() -> None:
    with vcsm.SharedMemory(4, "mode") as block, pytest.raises(ValueError, match="'r', 'w' and 'rw'"):
        block.lock("x")  # type: ignore[arg-type]


class TestAfterTheEnd:
    def test_using_the_view_is_an_error(self) -> None:
        with vcsm.SharedMemory(4, "ended") as block:
            with block.lock() as view:
                pass
            for use in (
                lambda: view[0],
                lambda: memoryview(view),
                lambda: view.array(),
                lambda: view.tobytes(),
                lambda: view.address,
                lambda: view.__enter__(),
            ):
                with pytest.raises(ValueError, match="lock.* has ended"):
                    use()
            assert repr(view) == "<vcsm.View of block 'ended', unlocked>"

    def test_unlock_ends_it_early_and_once(self) -> None:
        with vcsm.SharedMemory(4, "early") as block, block.lock() as view:
            view.unlock()
            assert vcsm.blocks()[0].locks == 0
            view.unlock()

    def test_a_lock_without_with_ends_with_the_view(self) -> None:
        with vcsm.SharedMemory(4, "dropped") as block:
            view = block.lock()
            assert vcsm.blocks()[0].locks == 1
            del view
            assert vcsm.blocks()[0].locks == 0

    def test_an_exception_unlocks_and_comes_out(self) -> None:
        with vcsm.SharedMemory(4, "exception") as block:
            with pytest.raises(KeyError, match="mine"), block.lock() as view:
                array = view.array()  # alive in this frame, and no reason to hide the error
                raise KeyError("mine")
            assert vcsm.blocks()[0].locks == 0
            del array


class TestArrays:
    def test_an_array_is_on_the_memory_itself(self) -> None:
        with vcsm.SharedMemory(24, "grid") as block:
            with block.lock("w") as view:
                view.array("<u2", (3, 4))[:] = np.arange(12).reshape(3, 4)
            assert vcsm.videocore.read(block.videocore_handle) == np.arange(12, dtype="<u2").tobytes()

    def test_dtype_shape_and_offset(self) -> None:
        with vcsm.SharedMemory(25, "shapes") as block, block.lock() as view:
            shapes = [
                view.array().shape,
                view.array("f8").shape,
                view.array("f8", 2).shape,
                view.array(">i4", (2, 3)).shape,
                view.array(np.uint8, [5, 5]).shape,
                view.array("u1", ()).shape,
                view.array("u1", (3, 0)).shape,
                view.array([("a", "u1"), ("b", "<u2")]).shape,
                view.array("u1", offset=5).shape,
                view.array("u2", np.array([2, 2]), offset=1).shape,
            ]
            assert shapes == [(25,), (3,), (2,), (2, 3), (5, 5), (), (3, 0), (8,), (20,), (2, 2)]

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"dtype": "u1", "shape": (5, 6)}, ValueError),
            ({"dtype": "f8", "shape": 4}, ValueError),
            ({"dtype": "u1", "shape": (1 << 40, 1 << 40)}, ValueError),
            ({"dtype": "u1", "shape": (-1,)}, ValueError),
            ({"dtype": "u1", "offset": 26}, ValueError),
            ({"dtype": "u1", "offset": -1}, ValueError),
            ({"dtype": "u1", "shape": 25, "offset": 1}, ValueError),
            ({"dtype": "S0"}, ValueError),
            ({"dtype": object}, TypeError),
            ({"dtype": [("a", object)]}, TypeError),
            ({"dtype": "u1", "shape": 2.0}, TypeError),
            ({"dtype": "u1", "shape": (1, "2")}, TypeError),
        ],
    )
    def test_what_cannot_be(self, arguments: dict[str, object], error: type[Exception]) -> None:
        with vcsm.SharedMemory(25, "refused") as block, block.lock() as view, pytest.raises(error):
            view.array(**arguments)  # type: ignore[arg-type]

    def test_one_that_outlives_its_lock_is_a_buffer_error(self) -> None:
        block = vcsm.SharedMemory(4096, "outlived")
        with pytest.raises(BufferError, match="block 'outlived' outlive its lock"), block.lock("w") as view:
            array = view.array("u1")
            array[:] = 1
        assert vcsm.blocks()[0].locks == 0
        assert vcsm.videocore.read(block.videocore_handle) == b"\1" * 4096
        block.close()
        assert vcsm.blocks() == []
        array[:] = 2  # still mapped
        assert int(array.sum()) == 2 * 4096
        del array
        gc.collect()

    @pytest.mark.parametrize("what", ["slice", "reshaped", "frombuffer", "asarray", "memoryview", "part"])
    def test_whatever_shows_the_memory_counts(self, what: str) -> None:
        with vcsm.SharedMemory(16, what) as block, pytest.raises(BufferError), block.lock() as view:
            makers: dict[str, Callable[[], object]] = {
                "slice": lambda: view.array("u2")[2:3],
                "reshaped": lambda: view.array("u2").reshape(2, 4).T,
                "frombuffer": lambda: np.frombuffer(view, "u1"),
                "asarray": lambda: np.asarray(view),
                "memoryview": lambda: memoryview(view),
                "part": lambda: view[1:2],
            }
            kept = makers[what]()
        del kept

    def test_it_stays_mapped_when_the_service_stops_and_the_object_is_gone(self) -> None:
        block = vcsm.SharedMemory(1 << 16, "stopped")
        with pytest.raises(BufferError), block.lock() as view:
            array = view.array()
        vcsm.videocore.reset()
        del block, view
        gc.collect()
        with vcsm.SharedMemory(1 << 16, "another") as other:
            other.copy_from(b"\xff" * (1 << 16))
            array[:] = 5
            assert other.copy_to() == b"\xff" * (1 << 16)
        assert int(array.min()) == 5

    def test_its_memory_is_free_again_when_it_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VCSM_SIM_MEMORY", "1M")
        vcsm.videocore.reset()
        block = vcsm.SharedMemory(1 << 20, "all")
        with pytest.raises(BufferError), block.lock() as view:
            array = view.array()
        block.close()
        with pytest.raises(vcsm.OutOfMemory):
            vcsm.SharedMemory(1 << 20, "not yet")
        del array, view
        gc.collect()
        vcsm.SharedMemory(1 << 20, "now").close()

    def test_the_block_can_be_closed_under_a_lock(self) -> None:
        block = vcsm.SharedMemory(10, "closed")
        with block.lock("w") as view:
            block.close()
            view[0] = 1
            assert view[0] == 1

    def test_two_locks_see_the_same(self) -> None:
        with vcsm.SharedMemory(10, "two", cache="host") as block, block.lock("rw") as outer:
            with block.lock("w") as inner:
                inner[0] = 5
            assert outer[0] == 5
            assert vcsm.videocore.read(block.videocore_handle, 0, 1) == b"\5"


def test_a_view_cannot_be_pickled() -> None:
    import pickle

    with vcsm.SharedMemory(10, "pickled") as block, block.lock() as view, pytest.raises(TypeError, match="pickled"):
        pickle.dumps(view)
