"""Every test has a simulated VideoCore of its own, and fails if it leaves a block allocated or locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(autouse=True)
def _own_videocore(videocore: ModuleType) -> None:
    """For tests that do not ask for it."""
