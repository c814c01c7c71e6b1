"""The list of what must hold is complete, and what it says is shown by tests that exist."""

import re
from pathlib import Path

from tests.docs.proofs import find_faults_of_proof

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ROW = re.compile(r"^\| ([IF]-\d\d) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
OPEN = re.compile(r"open, 2\d{3}-\d\d-\d\d: \S.{10,}")
EVERY = [*(f"I-{n:02}" for n in range(1, 39)), *(f"F-{n:02}" for n in range(1, 35))]


def read_rows() -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in ROW.findall(PAGE.read_text())]


def test_every_line_is_there_once_and_in_order():
    assert [row[0] for row in read_rows()] == EVERY


def test_every_line_has_tests_that_exist_or_says_what_is_missing():
    for number, what, held_by, shown in read_rows():
        assert what, number
        assert held_by, number
        if not OPEN.fullmatch(shown):
            assert find_faults_of_proof(shown) == [], number


def test_every_figure_has_what_was_asked_and_how_to_repeat_it():
    page = PAGE.read_text().partition("\n## Figures\n")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)[2:]
    assert len(rows) >= 10
    for what, asked, measured, command in rows:
        assert asked.strip(), what
        assert measured.strip(), what
        assert re.match(r"`([A-Z_]+=\d+ )?(make|python) ", command.strip()), what
