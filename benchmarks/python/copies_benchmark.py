"""Copies into VideoCore memory, beside picamera's published way over the C library, and beside numpy.copyto.

``scripts/bench-python`` runs this.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import vcsm
from vcsm.vcsmobj import VideoCoreSharedMemory

Compare = Callable[[Callable[[], object], Callable[[], object], float], None]


class PublishedWay:
    """A block as picamera's published module has it: ctypes calls, a generator as the lock, memmove."""

    def __init__(self, library: ctypes.CDLL, size: int, name: str) -> None:
        self.library = library
        self.handle = library.vcsm_malloc(size, name.encode())
        assert self.handle

    def __del__(self) -> None:
        self.library.vcsm_free(self.handle)

    @contextlib.contextmanager
    def lock(self) -> Iterator[int]:
        pointer = self.library.vcsm_lock(self.handle)
        try:
            yield pointer
        finally:
            self.library.vcsm_unlock_ptr(pointer)

    def copy_from_array(self, source: Any) -> None:
        if not source.flags["C_CONTIGUOUS"]:
            raise ValueError("only contiguous arrays")
        with self.lock() as pointer:
            ctypes.memmove(pointer, source.ctypes.data_as(ctypes.c_void_p), source.nbytes)


@pytest.fixture(scope="module")
def library() -> Iterator[ctypes.CDLL]:
    """The C library, on the same core as the package: the names of their shared libraries are the same."""
    path = os.environ.get("VCSM_LIBVCSM", "libvcsm.so")
    try:
        loaded = ctypes.CDLL(path)
    except OSError:
        pytest.skip(f"{path} cannot be loaded: scripts/bench-python builds it")
    loaded.vcsm_malloc.argtypes = [ctypes.c_uint, ctypes.c_char_p]
    loaded.vcsm_malloc.restype = ctypes.c_uint
    loaded.vcsm_free.argtypes = [ctypes.c_uint]
    loaded.vcsm_free.restype = None
    loaded.vcsm_lock.argtypes = [ctypes.c_uint]
    loaded.vcsm_lock.restype = ctypes.c_void_p
    loaded.vcsm_unlock_ptr.argtypes = [ctypes.c_void_p]
    assert loaded.vcsm_init() == 0
    yield loaded
    loaded.vcsm_exit()


def test_copy_from_array_of_4_kib_into_a_kept_block(library: ctypes.CDLL, compare: Compare) -> None:
    source = np.ones(4096, "u1")
    ours, theirs = VideoCoreSharedMemory(4096, "ours"), PublishedWay(library, 4096, "theirs")
    compare(lambda: ours.copy_from_array(source), lambda: theirs.copy_from_array(source), 3.0)


def test_copy_from_array_of_4_kib_into_a_fresh_block(library: ctypes.CDLL, compare: Compare) -> None:
    source = np.ones(4096, "u1")
    compare(
        lambda: VideoCoreSharedMemory(4096, "ours").copy_from_array(source),
        lambda: PublishedWay(library, 4096, "theirs").copy_from_array(source),
        1.1,
    )


def numpy_copyto(block: vcsm.SharedMemory, source: Any) -> Callable[[], object]:
    """What NumPy does into the same memory, already locked."""
    view = block.lock("w")
    target = view.array(source.dtype, source.shape)
    return lambda: np.copyto(target, source)


def test_copy_from_array_of_8_mib(compare: Compare) -> None:
    source = np.ones(8 << 20, "u1")
    block = VideoCoreSharedMemory(8 << 20, "ours")
    compare(lambda: block.copy_from_array(source), numpy_copyto(block.shared_memory, source), 0.95)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("form", ["every second column", "transposed", "reversed", "planes to pixels"])
def test_a_strided_array(compare: Compare, form: str, dtype: str) -> None:
    side = 1024
    whole = np.arange(side * side * 2).astype(dtype)
    forms: dict[str, Callable[[], Any]] = {
        "every second column": lambda: whole.reshape(side, 2 * side)[:, ::2],
        "transposed": lambda: whole.reshape(side, 2 * side)[:, :side].T,
        "reversed": lambda: whole[::-1],
        "planes to pixels": lambda: whole[: 3 * side * 512].reshape(3, side, 512).transpose(1, 2, 0),
    }
    source = forms[form]()
    block = vcsm.SharedMemory(source.nbytes, "strided")
    compare(lambda: block.copy_from(source), numpy_copyto(block, source), 0.95)


def test_importing_takes_less_than_50_ms(benchmark: Any) -> None:
    """Beside an interpreter that imports nothing; the best of ten, for the machine has other work too."""

    def run(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    took = min(run("import vcsm") for _ in range(10)) - min(run("pass") for _ in range(10))
    benchmark.extra_info.update(milliseconds=round(took * 1e3, 1), at_most=50)
    benchmark.pedantic(run, args=("import vcsm",), rounds=3)
    print(f"\nimport vcsm: {took * 1e3:.1f} ms, at most 50 are asked for")
    assert took < 0.05
