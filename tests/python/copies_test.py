"""copy_from() and copy_to(), against NumPy: what a copy into C order would give, byte for byte."""

from __future__ import annotations

import array
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import vcsm

Array = np.ndarray[Any, Any]

DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.array_dtypes(hnp.scalar_dtypes(), max_size=3),
    st.sampled_from(["V7", "S3", "U2", ">u2", "<f8", "g", "G", "e", "?", "M8[ns]", "m8[s]"]).map(np.dtype),
)


def filled(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An array of whose bytes no two rows are alike."""
    kind: np.dtype[Any] = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    numbers = np.arange(count * kind.itemsize, dtype=np.uint32)
    return (numbers * 31 % 251).astype(np.uint8).view(kind)[:count].reshape(shape) if count else np.empty(shape, kind)


@st.composite
def strided_arrays(draw: st.DrawFn) -> Array:
    """An array of any dtype, seen through any slices and axis order: gaps, reversed axes, broadcast ones, none."""
    kind = draw(DTYPES.filter(lambda dtype: dtype.itemsize > 0))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
    whole = filled(shape, kind)
    view = whole
    if whole.ndim > 0:
        view = whole[draw(hnp.basic_indices(shape, allow_ellipsis=False, allow_newaxis=True))]
    view = np.asarray(view)
    view = view.transpose(draw(st.permutations(range(view.ndim))))
    if draw(st.booleans()):
        view = np.broadcast_to(view, (draw(st.integers(1, 3)), *view.shape))
    return view


def as_bytes(values: Array) -> bytes:
    """In C order, also of dtypes whose arrays have no buffer."""
    return values.tobytes()


@settings(max_examples=300, deadline=None)
@given(values=strided_arrays(), offset=st.integers(0, 70), cache=st.sampled_from(["none", "host"]))
def test_copy_from_then_copy_to_is_what_numpy_does(values: Array, offset: int, cache: str) -> None:
    size = offset + values.nbytes
    with vcsm.SharedMemory(max(size, 1), "hypothesis", cache=cache) as block:
        block.copy_from(values, offset)
        expected = bytes(offset) + as_bytes(values)
        assert vcsm.videocore.read(block.videocore_handle)[:size] == expected
        assert block.copy_to()[:size] == expected
        again = block.copy_to(offset=offset, dtype=values.dtype, shape=values.shape)
        assert again.dtype == values.dtype
        assert again.shape == values.shape
        assert as_bytes(again) == as_bytes(values)


@settings(max_examples=200, deadline=None)
@given(pattern=strided_arrays(), offset=st.integers(0, 70))
def test_copy_to_fills_a_target_of_any_strides_and_nothing_beside_it(pattern: Array, offset: int) -> None:
    if 0 in pattern.strides:
        pattern = np.array(pattern)  # a broadcast array is read-only
    # Every second element along each axis, in an array twice as long along each.
    large = np.zeros(tuple(2 * extent for extent in pattern.shape), pattern.dtype)
    target = large[tuple(slice(None, None, 2) for _ in pattern.shape)]
    expected = large.copy()
    if pattern.ndim == 0:
        target = large
    expected[tuple(slice(None, None, 2) for _ in pattern.shape)] = pattern
    with vcsm.SharedMemory(offset + pattern.nbytes + 1, "target") as block:
        block.copy_from(pattern, offset)
        assert block.copy_to(target, offset) is target
    assert as_bytes(large) == as_bytes(expected)


@pytest.mark.parametrize(
    "source",
    [
        b"abcdef",
        bytearray(b"abcdef"),
        memoryview(b"abcdef"),
        memoryview(b"fedcba")[::-1],
        memoryview(b"abcdef").cast("B", (2, 3)),
        memoryview(b"abcdef").cast("H"),
        array.array("B", b"abcdef"),
        (ctypes.c_char * 6).from_buffer_copy(b"abcdef"),
        (ctypes.c_uint16 * 3).from_buffer_copy(b"abcdef"),
        ((ctypes.c_uint8 * 3) * 2).from_buffer_copy(b"abcdef"),
    ],
)
def test_anything_with_a_buffer(source: object) -> None:
    with vcsm.SharedMemory(6, "buffer") as block:
        block.copy_from(source)
        assert block.copy_to() == b"abcdef"


def test_a_read_only_array() -> None:
    values = filled((3, 5), "u4")
    values.flags.writeable = False
    with vcsm.SharedMemory(values.nbytes, "read-only") as block:
        block.copy_from(values)
        block.copy_from(values.T)
        assert block.copy_to() == values.T.tobytes()


def test_a_file_mapping(tmp_path: Any) -> None:
    import mmap

    path = tmp_path / "mapped"
    path.write_bytes(b"abcdef")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        vcsm.SharedMemory(6, "mapped") as block,
    ):
        block.copy_from(mapped)
        assert block.copy_to() == b"abcdef"


class Tensor:
    """Speaks DLPack and has no buffer, as tensors of machine-learning libraries."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


def test_dlpack() -> None:
    values = filled((4, 6), "i4")
    for shown in (values, values.T, values[::2, 1::2]):
        with vcsm.SharedMemory(shown.nbytes, "tensor") as block:
            block.copy_from(Tensor(shown))
            assert block.copy_to() == shown.tobytes()
            target = np.zeros_like(shown)
            block.copy_to(Tensor(target))
            assert np.array_equal(target, shown)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("bytes_each", [4096, 8 << 20])
def test_large_ones(order: Any, bytes_each: int) -> None:
    values = np.asarray(filled((bytes_each // 64, 16), "u4"), order=order)
    with vcsm.SharedMemory(values.nbytes, "large") as block:
        block.copy_from(values)
        assert vcsm.videocore.read(block.videocore_handle) == values.tobytes()
        target = np.zeros_like(values)
        block.copy_to(target)
        assert np.array_equal(target, values)


class TestOverlap:
    """A source that lies in the block itself gives what it would if it had been copied elsewhere first."""

    @pytest.mark.parametrize("offset", [0, 1, 16, 32])
    def test_a_part_of_the_block(self, offset: int) -> None:
        start = filled((64,), "u1")
        with vcsm.SharedMemory(128, "overlap") as block:
            block.copy_from(start)
            with block.lock() as view:
                block.copy_from(view[:64], offset)
            expected = bytearray(128)
            expected[:64] = start.tobytes()
            expected[offset : offset + 64] = start.tobytes()
            assert block.copy_to() == bytes(expected)

    def test_an_array_rearranged_onto_itself(self) -> None:
        start = filled((8, 8), "u2")
        ways: list[Callable[[Array], Array]] = [
            lambda a: a.T,
            lambda a: a[::-1],
            lambda a: a[:, ::-1],
            lambda a: a[::2, ::2],
        ]
        for rearranged in ways:
            with vcsm.SharedMemory(128, "rearranged") as block:
                block.copy_from(start)
                with block.lock() as view:
                    block.copy_from(rearranged(view.array("u2", (8, 8))))
                expected = bytearray(start.tobytes())
                wanted = rearranged(start).tobytes()
                expected[: len(wanted)] = wanted
                assert block.copy_to() == bytes(expected)


class TestRefused:
    @pytest.mark.parametrize(
        "source",
        [[1, 2], "text", None, 5, 1.5, object(), {1: 2}, np.float64, lambda: 1],
        ids=lambda s: type(s).__name__,
    )
    def test_what_has_no_bytes_in_memory(self, source: object) -> None:
        with vcsm.SharedMemory(16, "refused") as block:
            with pytest.raises(TypeError, match="cannot copy from a .*: it has no buffer"):
                block.copy_from(source)
            assert vcsm.blocks()[0].locks == 0

    @pytest.mark.parametrize(
        "source",
        [
            np.array([object(), None]),
            np.zeros(1, [("number", "u1"), ("thing", object)]),
            np.zeros(1, [("inner", [("thing", object)])]),
            np.zeros(1, [("when", "M8[s]"), ("thing", object)]),
        ],
    )
    def test_arrays_of_python_objects(self, source: Array) -> None:
        with vcsm.SharedMemory(64, "objects") as block:
            with pytest.raises(TypeError, match="Python objects"):
                block.copy_from(source)
            with pytest.raises(TypeError, match="Python objects"):
                block.copy_to(source)
            with pytest.raises(TypeError, match="Python objects"):
                block.copy_to(dtype=source.dtype)
            assert block.copy_to() == bytes(64)

    def test_a_field_whose_name_looks_like_an_object_is_none(self) -> None:
        values = np.ones(3, [("O", "u1"), ("dO", "<u2")])
        with vcsm.SharedMemory(9, "named") as block:
            block.copy_from(values)
            assert block.copy_to() == values.tobytes()

    @pytest.mark.parametrize("source", [np.zeros(5, "u1"), np.zeros(10, "u1")[::2], np.zeros((3, 2), "u1").T, b"abcde"])
    def test_more_than_the_block_holds(self, source: Any) -> None:
        with vcsm.SharedMemory(4, "small") as block:
            block.copy_from(b"kept")
            with pytest.raises(ValueError, match='block "small" of 4 bytes'):
                block.copy_from(source)
            with pytest.raises(ValueError, match='block "small" of 4 bytes'):
                block.copy_from(b"ab", 3)
            with pytest.raises(ValueError, match="block"):
                block.copy_from(b"", 5)
            assert block.copy_to() == b"kept"
            assert vcsm.blocks()[0].locks == 0

    @pytest.mark.parametrize(
        ("offset", "error"), [(-1, ValueError), (2**70, ValueError), (1.0, TypeError), (None, TypeError)]
    )
    def test_an_offset_that_is_none(self, offset: Any, error: type[Exception]) -> None:
        with vcsm.SharedMemory(4, "offset") as block:
            with pytest.raises(error, match="an offset"):
                block.copy_from(b"", offset)
            with pytest.raises(error, match="an offset"):
                block.copy_to(None, offset)

    def test_more_than_there_is_to_copy_out(self) -> None:
        with vcsm.SharedMemory(4, "short") as block:
            for target in (bytearray(5), np.zeros(10, "u1")[::2]):
                with pytest.raises(ValueError, match='block "short" of 4 bytes'):
                    block.copy_to(target)
            for arguments in ({"dtype": "u1", "shape": 5}, {"dtype": "f8", "shape": 1}, {"shape": (1 << 40, 1 << 40)}):
                with pytest.raises(ValueError, match="more than block 'short' has: 4 bytes"):
                    block.copy_to(**arguments)
            with pytest.raises(ValueError, match="offset"):
                block.copy_to(None, 5)

    def test_targets_that_cannot_be_written(self) -> None:
        values = np.zeros(4, "u1")
        values.flags.writeable = False
        when = np.zeros(1, "M8[s]")
        when.flags.writeable = False
        with vcsm.SharedMemory(8, "targets") as block:
            for target in (b"abcd", memoryview(b"abcd"), values, when):
                with pytest.raises(ValueError, match="read-only"):
                    block.copy_to(target)
            for other in ([1, 2], "text", 5):
                with pytest.raises(TypeError, match="no buffer"):
                    block.copy_to(other)

    def test_a_target_and_a_dtype_at_once(self) -> None:
        with vcsm.SharedMemory(4, "both") as block, pytest.raises(TypeError, match="not both"):
            block.copy_to(bytearray(4), dtype="u1")  # type: ignore[call-overload]

    def test_a_memoryview_that_was_released(self) -> None:
        source = memoryview(b"abcd")
        source.release()
        with vcsm.SharedMemory(4, "released") as block, pytest.raises(ValueError, match="released"):
            block.copy_from(source)


def test_zero_size_arrays_copy_nothing() -> None:
    with vcsm.SharedMemory(4, "empty") as block:
        for shape in ((0,), (3, 0), (0, 5, 2)):
            block.copy_from(np.empty(shape, "f8"), 4)
            assert block.copy_to(offset=4, dtype="f8", shape=shape).shape == shape
        block.copy_from(b"", 4)
        assert block.copy_to(None, 4) == b""


def test_copy_to_makes_arrays() -> None:
    with vcsm.SharedMemory(10, "arrays") as block:
        block.copy_from(bytes(range(10)))
        assert block.copy_to(dtype=">u2").tolist() == [1, 515, 1029, 1543, 2057]
        assert block.copy_to(shape=(2, 5)).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
        assert block.copy_to(dtype="u1", offset=8).tolist() == [8, 9]
        assert block.copy_to(dtype="f8").shape == (1,)
        assert block.copy_to(dtype="u1", shape=3).flags.writeable
