"""`python -m tests.security`: try the whole matrix of permissions, and print what was tried."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
if __name__ == "__main__":
    names = ("test_matrix.py", "test_admin.py", "test_walls.py")
    paths = [str(HERE / name) for name in names]
    sys.exit(pytest.main(["-q", "--show-capture=no", *paths, *sys.argv[1:]]))
