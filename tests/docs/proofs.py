"""Reads the pytest node ids that a document names, and says which of them do not exist."""

import ast
import re
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
NODE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@cache
def list_tests(path: str) -> frozenset[str]:
    """Return the names of the tests of a file; none where it does not exist."""
    file = CHECKOUT / path
    if not file.exists():
        return frozenset()
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return frozenset(name for name in names if name.startswith("test_"))


def find_faults_of_proof(cell: str) -> list[str]:
    """Return what is wrong with a cell that should name tests: none named, or one that is none."""
    nodes = NODE.findall(cell)
    if not any(name for _, name in nodes):
        return ["no test is named"]
    return [f"{path}::{name}" for path, name in nodes if name and name not in list_tests(path)]
