"""Marks the inner loops that numba compiles: once per machine, then read from its cache on disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])
ENGINE = Path(__file__).parent
SOLVERS = {"kernel", "coupled", "covariance", "netting"}


def _name_cache(root: str) -> str:
    """Return a folder below `root` for the machine code of exactly this engine.

    Numba looks only at the file of the function it compiles: one that calls into another file would
    go on running the old code there.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    # In the folders of solvers every file counts: constants that they read are compiled in.
    for path in sorted(ENGINE.rglob("*.py")):
        source = path.read_bytes()
        if path.parent.name in SOLVERS or b"\n@compiled" in source:
            digest.update(source)
    return str(Path(root) / f"compiled-{digest.hexdigest()[:16]}")


# NUMBA_CACHE_DIR names the root where the sources cannot be written to, as in the image.
numba.config.CACHE_DIR = _name_cache(  # type: ignore[attr-defined]
    numba.config.CACHE_DIR or str(ENGINE / "__pycache__")  # type: ignore[attr-defined]
)


def compiled(function: Function) -> Function:
    """Return the function compiled: exact IEEE arithmetic, without the interpreter's lock.

    Without the lock, threads work on different accounts at once; without fast-math, the same input
    gives the same bytes wherever it runs.
    """
    mark = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
    return cast("Function", mark(function))
