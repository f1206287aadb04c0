"""The Python documentation: build/python/venv/bin/sphinx-build docs build/docs/python, with the package installed."""

import vcsm

project = "vcsm"
author = "the vcsm authors"
copyright = "2026, the vcsm authors"
version = release = vcsm.__version__

extensions = ["sphinx.ext.autodoc"]
nitpicky = True
# Names that only type annotations use, of packages whose own indexes are not fetched here.
nitpick_ignore_regex = [
    (r"py:.*", r"(np|npt|numpy|typing_extensions|collections\.abc|types)\..*"),
    (
        r"py:.*",
        r"(Sequence|SupportsIndex|Literal|Any|Self|Iterator|Target|HasFileno|TracebackType|AbstractContextManager.*)",
    ),
    (r"py:.*", r"(bytes|int|str|float|bool|object|memoryview|slice|BaseException|OSError|MemoryError|MemoryView|None)"),
    (r"py:exc", r"(ValueError|TypeError|BufferError|UserWarning|ImportError|OSError)"),
    (r"py:.*", r"vcsm\._core\..*"),
    (r"py:.*", r"_core\..*"),
    (r"py:mod", r"(errno|multiprocessing)"),
    (r"py:meth", r"memoryview\..*"),
    (r"py:class", r".*_LockedAddress|optional"),
    (r"py:.*", r"picamera\..*"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}
autoclass_content = "both"
add_module_names = False

html_theme = "alabaster"
html_theme_options = {"description": "Memory that a CPU and a Raspberry Pi's VideoCore share", "page_width": "1000px"}
exclude_patterns = ["*.md"]
