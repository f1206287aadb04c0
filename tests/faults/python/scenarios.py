"""Every fault in what Python programs do with blocks. Prints what went wrong, and the sum as its last line.

    LD_PRELOAD=SEAM scenarios.py SEAM [PATTERN]

SEAM is the library that seam.cpp becomes; PATTERN names scenarios. Each of them runs once to count its system calls and
operators new, then once for each call and each errno that it can give, and once for each operator new that throws.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import vcsm
from vcsm import videocore
from vcsm.vcsmobj import VideoCoreSharedMemory, ensure_vcsm_init, vcsm_exit

SECONDS_FOR_ONE = 20
PARTIAL = -1
DATA = bytes(range(251)) * 40

seam = ctypes.PyDLL(sys.argv[1])
for _name, _result in {
    "seam_begin": None,
    "seam_end": None,
    "seam_arm": None,
    "seam_disarm": None,
    "seam_news": ctypes.c_size_t,
    "seam_operations": ctypes.c_size_t,
    "seam_operation": ctypes.c_char_p,
    "seam_tries": ctypes.c_size_t,
    "seam_try": ctypes.c_uint64,
    "seam_living_pieces": ctypes.c_int64,
    "seam_failed": ctypes.c_bool,
    "seam_calls": ctypes.c_size_t,
    "seam_kind": ctypes.c_uint,
    "seam_name": ctypes.c_char_p,
    "seam_ways": ctypes.c_size_t,
    "seam_errno": ctypes.c_int,
    "seam_times": ctypes.c_size_t,
    "seam_is_repeated": ctypes.c_bool,
    "seam_mapped_bytes": ctypes.c_size_t,
    "seam_blocks": ctypes.c_size_t,
    "seam_locks": ctypes.c_size_t,
}.items():
    getattr(seam, _name).restype = _result
seam.seam_begin.argtypes = [ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t]


@dataclass(frozen=True)
class Fault:
    """What fails: a system call, an operator new, what VideoCore is asked, or nothing."""

    number: int = 0
    kind: int = 0
    errno_value: int = 0
    times: int = 1
    new: int = 0
    operation: str = ""

    def __str__(self) -> str:
        if self.new:
            return f"operator new {self.new} throwing"
        if self.operation:
            return f"VideoCore's {self.operation}"
        if self.number == 0:
            return "no fault"
        how = "one byte alone" if self.errno_value == PARTIAL else os.strerror(self.errno_value)
        many = " many times" if self.times > 1 else ""
        return f"system call {self.number} ({seam.seam_name(self.kind).decode()}) giving {how}{many}"

    def repeated(self) -> bool:
        """Whether nobody is to notice it."""
        if self.operation:
            return self.operation.endswith(("EINTR", "EAGAIN"))
        return self.number > 0 and bool(seam.seam_is_repeated(self.kind, self.errno_value))


class Trial:
    """One run of a scenario with one fault in it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.complaints: list[str] = []

    def expect(self, held: bool, promise: str) -> None:
        """What must hold, whatever failed."""
        if not held:
            self.complaints.append(promise)

    @contextlib.contextmanager
    def act(self, what: str) -> Iterator[None]:
        """Has the fault armed meanwhile, and judges what is raised. An exception ends the step, not the scenario."""
        seam.seam_arm()
        try:
            yield
        except vcsm.Error as failed:
            seam.seam_disarm()
            self._judge(what, failed)
        except Exception as other:
            seam.seam_disarm()
            if isinstance(other, MemoryError) and self.fault.new and seam.seam_failed():
                return
            self.complaints.append(f"step {what!r} raised what no document says: {other!r}")
        else:
            seam.seam_disarm()

    def _judge(self, what: str, failed: vcsm.Error) -> None:
        if not seam.seam_failed():
            self.complaints.append(f"step {what!r} failed though nothing was made to fail: {failed}")
        elif self.fault.repeated():
            self.complaints.append(f"step {what!r} failed with what should have been repeated: {failed}")
        elif not str(failed).startswith("cannot ") or not failed.errno:
            self.complaints.append(f"step {what!r} failed without naming the operation: {failed!r}")
        elif self.fault.new and failed.errno != errno.ENOMEM:
            self.complaints.append(f"step {what!r} made of a lack of memory something else: {failed}")
        elif (failed.errno == errno.ENOMEM) != isinstance(failed, vcsm.OutOfMemory):
            self.complaints.append(f"step {what!r} raised {type(failed).__name__} for errno {failed.errno}")


def seen(block: vcsm.SharedMemory) -> bytes:
    """What VideoCore sees of it."""
    return videocore.read(block.videocore_handle)


def usable(now: Trial, block: vcsm.SharedMemory) -> None:
    """Whatever failed, the next try does it."""
    now.expect(seam.seam_locks() == 0, "a failure left it locked")
    data = DATA[: block.size]
    block.copy_from(data)
    now.expect(seen(block)[: len(data)] == data, "it is of no use after a failure")


def with_block(cache: str) -> Callable[[Trial], None]:
    """The usual sequence."""

    def run(now: Trial) -> None:
        with now.act("with SharedMemory"), vcsm.SharedMemory(len(DATA), "grid", cache=cache) as block:
            block.copy_from(DATA)
            now.expect(seen(block) == DATA, "VideoCore does not see what was copied")
            now.expect(block.copy_to() == DATA, "what was read is not what was written")

    return run


def copies(cache: str) -> Callable[[Trial], None]:
    """Each copy on its own, and the block used afterwards."""

    def run(now: Trial) -> None:
        with vcsm.SharedMemory(len(DATA), "grid", cache=cache) as block:
            with now.act("copy_from"):
                block.copy_from(DATA)
            usable(now, block)
            target = bytearray(len(DATA))
            with now.act("copy_to"):
                block.copy_to(target)
                now.expect(target == DATA, "what was read is not what was written")
            usable(now, block)

    return run


def views(cache: str) -> Callable[[Trial], None]:
    """Locks, also under an exception of the program's own."""

    def run(now: Trial) -> None:
        with vcsm.SharedMemory(len(DATA), "grid", cache=cache) as block:
            with now.act("with lock"), block.lock() as view:
                view[0] = 7
                with block.lock("r") as reader:
                    now.expect(reader[0] == 7, "a reader does not see what is written")
            now.expect(seam.seam_locks() == 0, "a lock is left")
            with now.act("exception in a lock"), contextlib.suppress(ZeroDivisionError), block.lock("w"):
                raise ZeroDivisionError
            now.expect(seam.seam_locks() == 0, "an exception left it locked")
            with now.act("lock without with"):
                forgotten = block.lock()
                del forgotten
            gc.collect()
            usable(now, block)

    return run


def resizes(cache: str) -> Callable[[Trial], None]:
    """Larger, and smaller again."""

    def run(now: Trial) -> None:
        with vcsm.SharedMemory(len(DATA), "grid", cache=cache) as block:
            block.copy_from(DATA)
            handle = block.handle
            for size in (30000, len(DATA)):
                before = block.size
                with now.act("resize"):
                    block.resize(size)
                now.expect(block.size in (before, size), "its size is neither the old nor the new one")
                now.expect(block.handle == handle, "resizing changed the handle")
                now.expect(block.copy_to()[: len(DATA)] == DATA, "resizing lost data")
            usable(now, block)

    return run


def exports(now: Trial) -> None:
    """A descriptor of it, and a block of that again."""
    with vcsm.SharedMemory(len(DATA), "grid") as block:
        block.copy_from(DATA)
        exported = -1
        with now.act("export"):
            exported = block.export()
        if exported >= 0:
            with now.act("from_dmabuf"), vcsm.SharedMemory.from_dmabuf(exported) as again:
                now.expect(again.copy_to()[: len(DATA)] == DATA, "an import shows something else")
            os.close(exported)
        usable(now, block)


def sent(now: Trial) -> None:
    """To another process, as multiprocessing does it."""
    here, there = socket.socketpair()
    with here, there, vcsm.SharedMemory(len(DATA), "grid") as block:
        block.copy_from(DATA)
        descriptor = -1
        with now.act("fileno"):
            descriptor = block.fileno()
        if descriptor >= 0:
            socket.send_fds(here, [b"x"], [descriptor])
            _, (received,), _, _ = socket.recv_fds(there, 1, 1)
            with now.act("from_dmabuf"), vcsm.SharedMemory.from_dmabuf(received, size=len(DATA)) as again:
                now.expect(again.copy_to()[: len(DATA)] == DATA, "what was received is something else")
            os.close(received)
        usable(now, block)


def shared(now: Trial) -> None:
    """A second handle."""
    with vcsm.SharedMemory(len(DATA), "grid") as block:
        with now.act("share"), block.share() as other:
            other.copy_from(DATA)
        usable(now, block)


def videocores_side(now: Trial) -> None:
    """What tests of programs do."""
    with vcsm.SharedMemory(len(DATA), "grid") as block:
        with now.act("write and read as VideoCore"):
            videocore.write(block.videocore_handle, DATA)
            now.expect(videocore.read(block.videocore_handle) == DATA, "VideoCore reads something else")
        usable(now, block)


def as_picamera_does(now: Trial) -> None:
    """The module of old, to the service's end with live blocks."""
    with now.act("start"):
        ensure_vcsm_init()
    left = None
    with now.act("copy_from_buffer"):
        left = VideoCoreSharedMemory(len(DATA), "ls_grid")
        left.copy_from_buffer(DATA)
    with now.act("lock"):
        block = VideoCoreSharedMemory(100, "old")
        with block.lock() as pointer:
            now.expect(bool(pointer), "it has no address")
    with now.act("exit with live blocks"):
        vcsm_exit()
    now.expect(seam.seam_blocks() == 0, "a block outlives the service")


def questions(now: Trial) -> None:
    """What can be asked."""
    with vcsm.SharedMemory(100, "asked") as block:
        with now.act("ask"):
            now.expect(block.bus_address != 0 and block.videocore_handle != 0, "VideoCore does not know it")
            vcsm.devices()
            now.expect(len(vcsm.blocks()) == 1, "the list of blocks is another")
            repr(block)
        usable(now, block)


SCENARIOS: dict[str, Callable[[Trial], None]] = {
    "python_with_block_uncached": with_block("none"),
    "python_with_block_cached": with_block("host"),
    "python_copies_uncached": copies("none"),
    "python_copies_cached": copies("host"),
    "python_views_uncached": views("none"),
    "python_views_cached": views("host"),
    "python_resizes_uncached": resizes("none"),
    "python_resizes_cached": resizes("host"),
    "python_exports": exports,
    "python_sent": sent,
    "python_shared": shared,
    "python_videocores_side": videocores_side,
    "python_as_picamera_does": as_picamera_does,
    "python_questions": questions,
}


def open_descriptors() -> set[str]:
    """Those of this process, and what they are of."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{number} -> {os.readlink('/proc/self/fd/' + number)}")
    return found


NEVER = "read@18446744073709551615=EIO"  # a list that never strikes, so that tries are counted


@dataclass
class Counted:
    """What a run without a fault had in it."""

    calls: list[tuple[int, int]]
    """Numbers and kinds of system calls."""
    news: int
    tries: list[tuple[str, int]]
    """Operations of VideoCore's, and numbers of their tries."""

    def faults(self) -> Iterator[Fault]:
        """Every one there can be."""
        for number, kind in self.calls:
            for way in range(seam.seam_ways(kind)):
                yield Fault(number, kind, seam.seam_errno(kind, way), seam.seam_times(kind, way))
        for number in range(1, self.news + 1):
            yield Fault(new=number)
        for operation, number in self.tries:
            for how in ("EIO", "ENOMEM", "EBUSY", "EINVAL", "EPERM", "EINTR", "EAGAIN"):
                yield Fault(operation=f"{operation}@{number}={how}")
            yield Fault(operation=f"{operation}@{number}-{number + 99}=EINTR")


class Sum:
    """What all faults came to."""

    def __init__(self) -> None:
        self.injected = self.leaked = self.stuck = self.broken = 0

    def run(self, name: str, fault: Fault, *, may_make_what_lasts: bool = True) -> Counted:
        """One run."""
        signal.alarm(SECONDS_FOR_ONE)
        before = {each for each in open_descriptors() if "/proc/" not in each}
        now = Trial(fault)
        os.environ["VCSM_SIM_FAULTS"] = fault.operation or NEVER
        videocore.reset()
        pieces = seam.seam_living_pieces()
        seam.seam_begin(fault.number, fault.errno_value, fault.times, fault.new)
        try:
            SCENARIOS[name](now)
        except Exception:
            now.complaints.append("afterwards: " + traceback.format_exc())
        counted = Counted(
            [(number, seam.seam_kind(number)) for number in range(1, seam.seam_calls() + 1)],
            seam.seam_news(),
            [
                (seam.seam_operation(what).decode(), seam.seam_try(what, index))
                for what in range(seam.seam_operations())
                for index in range(seam.seam_tries(what))
            ],
        )
        struck = bool(seam.seam_failed())
        gc.collect()
        leaks = []
        if seam.seam_locks():
            self.stuck += 1
            print(f"{name}, {fault}: a block is left locked")
        if seam.seam_blocks():
            leaks.append(f"{seam.seam_blocks()} blocks are left")
        leaks += [f"VideoCore has block {each.name!r}" for each in videocore.list()]
        videocore.reset()
        if seam.seam_mapped_bytes():
            leaks.append(f"{seam.seam_mapped_bytes()} bytes are mapped")
        leaks += [f"descriptor {each} is open" for each in open_descriptors() - before if "/proc/" not in each]
        seam.seam_end()
        left = seam.seam_living_pieces() - pieces
        if left > 0 and fault != Fault():
            if may_make_what_lasts:  # such as a larger table: if it is that, the same again makes no other
                self.run(name, fault, may_make_what_lasts=False)
            else:
                leaks.append(f"{left} pieces of heap memory are left")
        signal.alarm(0)
        for each in leaks + now.complaints:
            print(f"{name}, {fault}: {each}")
        self.leaked += bool(leaks)
        self.broken += bool(now.complaints)
        self.injected += struck
        return counted


def main() -> int:
    """Everything; 0 where all held."""
    pattern = sys.argv[2] if len(sys.argv) > 2 else "*"
    total = Sum()
    for name in SCENARIOS:
        if not fnmatch.fnmatchcase(name, pattern):
            continue
        total.run(name, Fault())  # what is imported at first use
        every = list(total.run(name, Fault()).faults())
        if not every:
            print(f"{name}: no fault can come: the seam is not the library's")
            total.broken += 1
        for fault in every:
            total.run(name, fault)
    print(
        f"faults injected: {total.injected}, leaked: {total.leaked}, stuck locks: {total.stuck}, crashes: 0, "
        f"broken promises: {total.broken}"
    )
    return int(bool(total.leaked or total.stuck or total.broken))


sys.exit(main())
