"""Data folders for tests of the servers, apart from the suite's own."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from robo.localservices import addresses


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """Give a data folder that does not exist yet."""
    with _folder_within_reach() as folder:
        yield folder


@pytest.fixture(scope="module")
def seeded_runtime_dir() -> Iterator[Path]:
    """Give one data folder to all tests of a module that start the demo: seeding takes a while."""
    with _folder_within_reach() as folder:
        yield folder


@contextlib.contextmanager
def _folder_within_reach() -> Iterator[Path]:
    # Not pytest's own temporary folder: the server's user could not reach it when we are root.
    parent = Path(tempfile.mkdtemp(prefix="robo-deployment-"))
    parent.chmod(0o755)
    folder = parent / "runtime"
    yield folder
    shutil.rmtree(addresses(folder).socket_dir, ignore_errors=True)
    shutil.rmtree(parent)
