"""Makes ``picamera.vcsmobj`` found where no picamera brings one.

A file ``picamera/vcsmobj.py`` of ours would not do: beside a regular package ``picamera`` elsewhere on ``sys.path``,
such as Debian's, Python ignores it; and inside that package it would belong to somebody else. So this finder stands
last on ``sys.meta_path``, where it is asked only for what nobody else has.

It runs at every start of Python in the environment, from ``vcsm-picamera.pth``: hence as few imports as can be.

PYTEST_DONT_REWRITE: it is imported before pytest is, which would else warn about it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAMES = ("picamera", "picamera.vcsmobj")


class _EmptyPackage:
    """Loads the ``picamera`` of those who have none: a package with nothing but ``vcsmobj``."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType | None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        module.__doc__ = "Supplied by vcsm, for there is no picamera here: it has vcsmobj alone."
        setattr(module, "__getattr__", _no_such_attribute)  # noqa: B010  # the module's own, not the object's


def _no_such_attribute(name: str) -> object:
    raise AttributeError(
        f"module 'picamera' has no attribute {name!r}: this one was supplied by vcsm and has vcsmobj alone; "
        "install picamera for the rest"
    )


class Finder:
    """The finder; see this module."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's specification, or None for any other module."""
        if name not in _NAMES:
            return None
        from importlib import machinery, util
        from os.path import dirname, join

        if name == "picamera":
            return machinery.ModuleSpec(name, _EmptyPackage(), is_package=True)  # type: ignore[arg-type]  # no subclass
        return util.spec_from_file_location(name, join(dirname(__file__), "vcsm", "_picamera_vcsmobj.py"))


def install() -> None:
    """Puts the finder behind all others, once."""
    if Finder not in sys.meta_path:
        sys.meta_path.append(Finder)
