"""Signals, exceptions and lacks in the middle of Python programs: nothing is left, and nothing is said besides."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import vcsm

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENT = {**os.environ, "VCSM_DEVICE": "simulated"}
WORKS = ["copy_from", "copy_from_strided", "copy_to", "lock", "short"]


def interrupted(number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Starts the program, sends it the signal at some moment, and gives what became of it."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAMS / "interrupted_program.py"), *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.0, 0.1))  # any moment will do: what must hold holds at all of them
        program.send_signal(number)
        out, err = program.communicate(timeout=60)
        return subprocess.CompletedProcess(program.args, program.returncode, out, err)


@pytest.mark.parametrize("cache", ["none", "host"])
@pytest.mark.parametrize("work", WORKS)
def test_sigint_frees_the_block_and_says_nothing_of_its_own(work: str, cache: str) -> None:
    ended = interrupted(signal.SIGINT, work, cache)
    assert ended.stdout == "nothing is left\n", ended.stderr
    assert ended.returncode == -signal.SIGINT
    lines = ended.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyboardInterrupt"
    assert ended.stderr.count("Traceback") == 1
    assert "vcsm:" not in ended.stderr


@pytest.mark.parametrize("work", WORKS)
def test_sigterm_with_a_handler_frees_the_block(work: str) -> None:
    ended = interrupted(signal.SIGTERM, work, "host", "handler")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "nothing is left\n", "")


def test_sigterm_without_a_handler_ends_at_once() -> None:
    ended = interrupted(signal.SIGTERM, "copy_from", "host")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "", "")


class _RaisesError(Exception):
    pass


class Raising:
    """Whatever is asked of it, it raises."""

    def __index__(self) -> int:
        raise _RaisesError

    def fileno(self) -> int:
        raise _RaisesError

    @property
    def __array_interface__(self) -> dict[str, object]:
        raise _RaisesError


def test_exceptions_out_of_the_programs_own_methods_leave_the_block_as_it_was() -> None:
    with vcsm.SharedMemory(100, "callbacks", cache="host") as block:
        block.copy_from(b"before")
        for call in (
            lambda: block.copy_from(b"x", Raising()),
            lambda: block.copy_to(None, Raising()),
            lambda: block.resize(Raising()),
            lambda: vcsm.SharedMemory(Raising(), "none"),
            lambda: vcsm.SharedMemory.from_dmabuf(Raising()),
            lambda: vcsm.SharedMemory.from_dmabuf(block, size=Raising()),
            lambda: vcsm.videocore.read(block.videocore_handle, Raising()),
        ):
            with pytest.raises(_RaisesError):
                call()
        with pytest.raises(TypeError):
            block.copy_from(Raising())
        assert [(each.name, each.locks) for each in vcsm.blocks()] == [("callbacks", 0)]
        assert block.copy_to()[:6] == b"before"


def test_an_exception_out_of_a_signal_handler_ends_a_lock() -> None:
    def handler(number: int, frame: object) -> None:
        raise _RaisesError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with vcsm.SharedMemory(1 << 20, "handled", cache="host") as block:
            for _ in range(20):
                with pytest.raises(_RaisesError):
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.005))
                    while True:
                        with block.lock() as view:
                            view.array("u1")[:] = 1
                        block.copy_from(b"2")
                assert [each.locks for each in vcsm.blocks()] == [0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("make", [vcsm.SharedMemory, vcsm.Pool, lambda size: vcsm.Ring(1, size)])
def test_an_exception_before_the_first_statement_of_an_end_leaves_nothing(make: Callable[[int], Any]) -> None:
    """Where a signal's handler may raise, here at every function that the end of the ``with`` calls."""

    def raises(frame: FrameType, event: str, argument: object) -> None:
        raise _RaisesError

    before = sys.gettrace()
    ending = make(100)
    with pytest.raises(_RaisesError), ending:
        sys.settrace(raises)
    sys.settrace(before)
    assert vcsm.blocks() == []
    assert vcsm.videocore.list() == []


def test_a_storm_of_signals_changes_nothing() -> None:
    came = 0

    def handler(number: int, frame: object) -> None:
        nonlocal came
        came += 1

    before = signal.signal(signal.SIGALRM, handler)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        rounds = 0
        while rounds < 100 or came < 100:
            rounds += 1
            data = np.full(5000 + rounds % 3000, rounds % 251, "u1")
            with vcsm.SharedMemory(data.size, "stormy", cache="host") as block:
                block.copy_from(data)
                with vcsm.SharedMemory.from_dmabuf(block) as again, again.lock("r") as view:
                    assert bytes(view) == data.tobytes()
                assert vcsm.videocore.read(block.videocore_handle) == data.tobytes()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def child(program: str, redirections: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, with the shell's redirections."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', sys.executable, "-c", program, *arguments],
        env={**ENVIRONMENT, "VCSM_LOG": "debug"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_blocks(closed: str, tmp_path: Path) -> None:
    program = """
import os, sys
said = open(sys.argv[1], "w")
import vcsm
with vcsm.SharedMemory(5000, "b", cache="host") as block, block.share() as other:
    exported = block.export()
    block.copy_from(bytes(5000))
    low = [n for n in (0, 1, 2, block.fileno(), exported)
           if os.path.exists(f"/proc/self/fd/{n}") and n < 3 and "memfd" in os.readlink(f"/proc/self/fd/{n}")]
    for stream in (1, 2):
        try:
            os.write(stream, b"what a program prints")
        except OSError:
            pass
    print(low, block.copy_to() == bytes(5000), file=said)
"""
    # The file is opened first so that it is one of the closed streams' numbers: that is Python's own.
    ended = child(program, closed, str(tmp_path / "said"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "said").read_text().endswith("[] True\n")


def test_executing_another_program_gives_it_nothing() -> None:
    program = """
import os, vcsm
block = vcsm.SharedMemory(5000, "b")
exported = block.export(), block.fileno()
view = block.lock()
os.execlp("ls", "ls", "-l", "/proc/self/fd")
"""
    ended = child(program)
    assert ended.returncode == 0, ended.stderr
    assert "->" in ended.stdout
    assert "memfd" not in ended.stdout


def test_descriptors_that_are_used_up_are_said_and_raising_the_limit_mends_all() -> None:
    program = """
import errno, os, resource
import vcsm, vcsm.videocore
vcsm.devices()
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
blocks = [vcsm.SharedMemory(5000, "first")]
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, limits[1]))
try:
    for _ in range(100):
        blocks.append(vcsm.SharedMemory(5000, "b", cache="host"))
        blocks[-1].copy_from(b"content")
        blocks[-1].fileno()
except vcsm.Error as refused:
    failed = refused
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
assert failed.errno == errno.EMFILE and str(failed).startswith("cannot "), failed
assert [each.copy_to()[:7] for each in blocks[1:]] == [b"content"] * (len(blocks) - 1)
os.close(blocks[-1].export())
for each in blocks:
    each.close()
assert vcsm.blocks() == [] and vcsm.videocore.list() == []
"""
    ended = child(program)
    assert ended.returncode == 0, ended.stderr


def test_addresses_that_are_used_up_are_said_and_raising_the_limit_mends_all() -> None:
    program = """
import errno, resource
import vcsm, vcsm.videocore
vcsm.devices()
limits = resource.getrlimit(resource.RLIMIT_AS)
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + (8 << 20), limits[1]))
try:
    vcsm.SharedMemory(5000, "none", cache="host")
except MemoryError as refused:  # vcsm.OutOfMemory is one, too
    failed = refused
resource.setrlimit(resource.RLIMIT_AS, limits)
assert not isinstance(failed, vcsm.Error) or str(failed).startswith("cannot "), failed
assert vcsm.blocks() == []
with vcsm.SharedMemory(5000, "after", cache="host") as block:
    block.copy_from(b"again")
    assert vcsm.videocore.read(block.videocore_handle, 0, 5) == b"again"
assert vcsm.videocore.list() == []
"""
    ended = child(program)
    assert ended.returncode == 0, ended.stderr
