"""Blocks and processes: the interpreter's end, forks, and handing blocks over."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vcsm

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENT = {**os.environ, "VCSM_DEVICE": "simulated"}


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one of the programs to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAMS / program), *arguments],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "how",
    [
        "plain",
        "no-gc",
        "manager",
        "locked",
        "array",
        "array,locked,no-gc",
        "cycle",
        "cycle,no-gc,manager",
        "atexit,array",
        "class",
        "class,cycle,no-gc",
        "thread",
        "thread,array,locked",
        "module,array",
        "exit,array,class,manager,locked,module",
        "pool",
        "pool,dropped,no-gc",
        "pool,array,cycle,locked",
        "ring",
        "ring,no-gc,cycle",
        "ring,waiting",
        "pool,ring,waiting,thread,class,no-gc",
    ],
)
def test_the_interpreter_ends_quietly_with_live_blocks_and_frees_them(how: str) -> None:
    ended = run("exit_program.py", how, VCSM_LOG="info")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    # The last thing heard of the service is that it stopped, which frees every block; beside that, nothing.
    lines = ended.stderr.splitlines()
    assert lines[0] == "vcsm: service started on simulated"
    assert lines[-1].startswith("vcsm: service stopped")
    assert len(lines) == 2


def in_child(check: str) -> int:
    """Runs `check`, the name of a function below, in a forked child; gives its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            globals()[check]()
            os._exit(0)
        except BaseException as failed:  # there is nobody above who could report it
            os.write(2, f"in the child: {failed!r}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


inherited: list[vcsm.SharedMemory] = []
parent = 0


def inherited_objects_say_whose_they_are() -> None:
    block = inherited[0]
    uses: list[Callable[[], object]] = [block.copy_to, block.lock, lambda: block.handle, block.fileno]
    for use in uses:
        with pytest.raises(vcsm.NoBlock, match=f"belongs to process {parent}"):
            use()
    assert block.closed
    block.close()


def the_child_has_a_service_of_its_own() -> None:
    assert vcsm.blocks() == []
    with vcsm.SharedMemory(10, "child's") as block:
        block.copy_from(b"child")
        assert vcsm.videocore.read(block.videocore_handle, 0, 5) == b"child"
        assert len(vcsm.videocore.list()) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("check", ["inherited_objects_say_whose_they_are", "the_child_has_a_service_of_its_own"])
def test_fork(check: str) -> None:
    global parent
    parent = os.getpid()
    with vcsm.SharedMemory(10, "parent's") as block:
        inherited.append(block)
        try:
            block.copy_from(b"parent")
            with block.lock("r"):
                assert in_child(check) == 0
            assert block.copy_to() == b"parent\0\0\0\0"
            assert len(vcsm.blocks()) == 1
        finally:
            inherited.clear()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_other_threads_copy() -> None:
    source = np.ones(1 << 20, "u1")
    stop = threading.Event()
    with vcsm.SharedMemory(1 << 20, "busy", cache="host") as block:

        def copy() -> None:
            while not stop.is_set():
                block.copy_from(source)

        threads = [threading.Thread(target=copy) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                assert in_child("the_child_has_a_service_of_its_own") == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_block_is_handed_over_with_send_fds() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, vcsm.SharedMemory(12, "sent") as block:
        block.copy_from(b"to the other")
        socket.send_fds(ours, [b"sent 12"], [block.fileno()])
        with subprocess.Popen(
            [sys.executable, str(PROGRAMS / "receiving_program.py"), str(theirs.fileno())],
            env=ENVIRONMENT,
            pass_fds=[theirs.fileno()],
        ) as program:
            theirs.close()
            ours.settimeout(60)
            answer = ours.recv(100)
        assert program.returncode == 0
        assert answer == b"done"
        assert block.copy_to() == b"and backther"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_block_is_handed_over_through_multiprocessing(method: str) -> None:
    ended = run("multiprocessing_program.py", method)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("handed over\n", "", 0)


def test_descriptors_are_not_inherited_by_exec() -> None:
    with vcsm.SharedMemory(10, "own") as block:
        names = f"/proc/self/fd/{block.fileno()}"
        ended = subprocess.run(
            [sys.executable, "-c", f"import os; print(os.path.exists({names!r}))"],
            close_fds=False,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout == "False\n"
