"""What the documents and docstrings show is what happens."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENTS = sorted((Path(__file__).parents[2] / "docs").glob("*.rst"))
MODULES = [
    "vcsm",
    "vcsm.shared_memory",
    "vcsm.view",
    "vcsm.vcsmobj",
    "vcsm.videocore",
    "vcsm._service",
    "vcsm.pool",
    "vcsm.ring",
]
OPTIONS = doctest.ELLIPSIS


def test_there_are_documents() -> None:
    assert {"vcsmobj.rst", "tutorial.rst", "modern.rst", "streaming.rst"} <= {document.name for document in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_document(document: Path) -> None:
    result = doctest.testfile(str(document), module_relative=False, optionflags=OPTIONS, encoding="utf-8")
    assert result.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0


def test_the_example_of_vcsmobj_word_for_word(capsys: pytest.CaptureFixture[str]) -> None:
    """As it has stood in picamera's documents since it was written."""
    example = """
    >>> from picamera.vcsmobj import VideoCoreSharedMemory
    >>> import numpy as np
    >>> w = 10
    >>> h = 10
    >>> data_to_send = np.ones((w, h), dtype=np.uint8)
    >>> shared_mem = VideoCoreSharedMemory(w*h, "test_data")
    >>> shared_mem.copy_from_array(data_to_send)
    >>> import vcsm
    >>> vcsm.videocore.read(shared_mem.videocore_handle) == b"\\1" * 100
    True
    """
    test = doctest.DocTestParser().get_doctest(example, {}, "vcsmobj", None, None)
    assert doctest.DocTestRunner().run(test) == doctest.TestResults(0, 9)


@pytest.mark.skipif("VCSM_SIM" not in os.environ, reason="VCSM_SIM names no vcsm-sim; scripts/test-python does")
def test_the_example_of_vcsmobj_on_the_interfaces_of_a_raspberry_pi_4(tmp_path: Path) -> None:
    """The same lines, where the system calls are answered as a board's kernel would, and VideoCore is asked."""
    example = """
from picamera.vcsmobj import VideoCoreSharedMemory
import numpy as np
w = 10
h = 10
data_to_send = np.ones((w, h), dtype=np.uint8)
shared_mem = VideoCoreSharedMemory(w*h, "test_data")
shared_mem.copy_from_array(data_to_send)

import os, socket
with socket.socket(socket.AF_UNIX) as videocore:
    videocore.connect(os.environ["VCSM_SIM_CONTROL"])
    videocore.sendall(f"read {shared_mem.videocore_handle} 0 100\\n".encode())
    print(videocore.makefile().readline())
"""
    report = tmp_path / "report.json"
    sim = [os.environ["VCSM_SIM"], "--model", "pi4", "--strict", "--error-exitcode", "9", "--report", str(report), "--"]
    environment = {name: value for name, value in os.environ.items() if name != "VCSM_DEVICE"}
    ran = subprocess.run([*sim, sys.executable, "-c", example], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {"ok": True, "data": "01" * 100}
    told = json.loads(report.read_text())
    assert told["leaks"] == told["killed"] == told["kernel_crashes"] == told["unsynced"] == []
