"""Ratios: our way and another, taken in turns in one run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

os.environ.setdefault("VCSM_DEVICE", "simulated")

Compare = Callable[[Callable[[], object], Callable[[], object], float], None]


def _nanoseconds(work: Callable[[], object], calls: int) -> float:
    begin = time.perf_counter_ns()
    for _ in range(calls):
        work()
    return (time.perf_counter_ns() - begin) / calls


def _ratios(ours: Callable[[], object], theirs: Callable[[], object]) -> list[float]:
    """How many times faster ours is, in rounds of both, of some milliseconds each."""
    calls = max(1, int(2e6 / max(_nanoseconds(theirs, 3), 1)))
    for work in (ours, theirs):
        _nanoseconds(work, calls)
    return [_nanoseconds(theirs, calls) / _nanoseconds(ours, calls) for _ in range(41)]


@pytest.fixture
def compare(benchmark: Any) -> Compare:
    """Fails below the ratio that is asked for, if it stays below in three tries; the report has our times."""

    def run(ours: Callable[[], object], theirs: Callable[[], object], at_least: float) -> None:
        ratio = 0.0
        for _ in range(3):
            found = _ratios(ours, theirs)
            ratio = max(ratio, statistics.median(found))
            if ratio >= at_least:
                break
        benchmark.extra_info.update(ratio=round(ratio, 3), at_least=at_least)
        print(f"\n{benchmark.name}: {ratio:.2f} times as fast, at least {at_least} is asked for")
        benchmark(ours)
        assert ratio >= at_least

    return run
