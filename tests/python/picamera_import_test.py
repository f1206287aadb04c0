"""picamera.vcsmobj is found where no picamera brings one, and nothing else of picamera is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, *folders: Path, arguments: tuple[str, ...] = ()) -> str:
    """What a fresh interpreter prints that has `folders` behind what is installed, as apt's packages are."""
    append = "".join(f"import sys; sys.path.append({str(folder)!r})\n" for folder in folders)
    environment = {**os.environ, "VCSM_DEVICE": "simulated"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-c", append + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


USE = """
from picamera.vcsmobj import VideoCoreSharedMemory
import vcsm.vcsmobj
assert VideoCoreSharedMemory is vcsm.vcsmobj.VideoCoreSharedMemory
block = VideoCoreSharedMemory(3, "found")
block.copy_from_memoryview(memoryview(b"abc"))
assert vcsm.videocore.read(block.videocore_handle) == b"abc"
"""


@pytest.fixture
def regular_package(tmp_path: Path) -> Path:
    """A folder with a regular package picamera, without vcsmobj."""
    package = tmp_path / "dist-packages" / "picamera"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class PiCamera:\n    pass\n")
    (package / "mmalobj.py").write_text("that = 'is there'\n")
    return package.parent


def test_without_any_picamera() -> None:
    python(USE)


def test_beside_a_regular_picamera_elsewhere(regular_package: Path) -> None:
    python(USE + "import picamera.mmalobj\nfrom picamera import PiCamera\n", regular_package)


def test_whichever_is_imported_first(regular_package: Path) -> None:
    python("import picamera, picamera.mmalobj\n" + USE, regular_package)


def test_a_picamera_that_has_its_own_wins(regular_package: Path) -> None:
    (regular_package / "picamera" / "vcsmobj.py").write_text("VideoCoreSharedMemory = 'its own'\n")
    assert python("import picamera.vcsmobj as it; print(it.VideoCoreSharedMemory)", regular_package) == "its own\n"
    assert python("import vcsm; import picamera.vcsmobj as it; print(it.__file__)", regular_package).startswith(
        str(regular_package)
    )


def test_a_picamera_in_front_of_the_path(regular_package: Path) -> None:
    python(f"import sys; sys.path.insert(0, {str(regular_package)!r})\n" + USE + "from picamera import PiCamera\n")


def test_without_picamera_the_rest_of_it_is_missing_as_ever() -> None:
    code = """
import picamera.vcsmobj
for statement in ("import picamera.mmalobj", "from picamera import PiCamera"):
    try:
        exec(statement)
    except ImportError:
        continue
    raise AssertionError(statement)
try:
    picamera.PiCamera
except AttributeError as missing:
    print(missing)
"""
    assert "supplied by vcsm and has vcsmobj alone; install picamera" in python(code)


def test_without_the_site_module_importing_vcsm_is_enough() -> None:
    import vcsm

    installed = Path(vcsm.__file__).parent.parent
    python("import vcsm\n" + USE, installed, arguments=("-S",))


def test_nothing_is_imported_at_the_start_of_python() -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith(('vcsm', 'picamera'))])"
    assert python(code) == "[]\n"


def test_importing_vcsm_imports_neither_numpy_nor_ctypes_nor_typing() -> None:
    code = """
import sys
before = set(sys.modules)
import vcsm
print(sorted({"numpy", "ctypes", "typing", "multiprocessing", "re", "threading"} & (set(sys.modules) - before)))
"""
    assert python(code) == "[]\n"


def test_every_public_name_is_there() -> None:
    code = """
import vcsm
for name in vcsm.__all__:
    assert name in dir(vcsm), name
    getattr(vcsm, name)
assert vcsm.videocore.__name__ == "vcsm.videocore"
try:
    vcsm.nothing
except AttributeError as missing:
    print(missing)
"""
    assert python(code) == "module 'vcsm' has no attribute 'nothing'\n"
