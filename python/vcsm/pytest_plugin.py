"""For tests of programs that give data to VideoCore: the fixture ``videocore``. pytest finds it by itself."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers",
        "videocore(memory=..., faults=...): what the fixture videocore is made with, as the environment variables "
        "VCSM_SIM_MEMORY and VCSM_SIM_FAULTS say it",
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remembers what failed: a failure's traceback keeps objects alive, which then are no leak."""
    outcome: Any = yield
    if outcome.get_result().failed:
        item.stash[_FAILED] = True


@pytest.fixture
def videocore(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A fresh simulated VideoCore for this test; gives the module :mod:`vcsm.videocore`.

    At its end the test fails if a block of it is not freed, or is locked, or if a pool is not closed or has blocks.
    Blocks from before the test are freed at its beginning. ``@pytest.mark.videocore(memory="16M",
    faults="alloc@1=ENOMEM")`` says how it is made.
    """
    import vcsm
    from vcsm import _core
    from vcsm import videocore as side

    side.reset()
    monkeypatch.setenv("VCSM_DEVICE", "simulated")
    marker = request.node.get_closest_marker("videocore")
    for argument, variable in (("memory", "VCSM_SIM_MEMORY"), ("faults", "VCSM_SIM_FAULTS")):
        value = marker.kwargs.get(argument) if marker is not None else None
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, str(value))
    gc.collect()
    vcsm.use("simulated")
    side.reset()  # also stops the service: the test begins with none running
    locks_before = _core.held_locks()
    pools_before = _core.pools()  # of earlier tests that failed: they have no memory any more
    yield side
    gc.collect()
    left = vcsm.blocks()
    pools_left = _core.pools() - pools_before
    locks_left = _core.held_locks() - locks_before
    side.reset()
    if request.node.stash.get(_FAILED, False):
        return
    if left:
        each = "; ".join(
            f"{block.name!r} of {block.size} bytes" + (f", locked {block.locks} time(s)" if block.locks else "")
            for block in left
        )
        pytest.fail(f"{len(left)} block(s) not freed at the end of the test: {each}", pytrace=False)
    if pools_left > 0:
        pytest.fail(
            f"{pools_left} pool(s) still have memory at the end of the test: close each, and its blocks", pytrace=False
        )
    if locks_left > 0:
        pytest.fail(f"{locks_left} lock(s) still held at the end of the test, of blocks that are freed", pytrace=False)
