"""The list of OWASP's requirements is complete, and what it says is shown by tests that exist."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

from django.conf import settings

from accounts.domain import doors
from accounts.operations import passwords
from portfolios import forms
from portfolios.price_sources import csv_file
from portfolios.statements import tables
from tests.docs.proofs import find_faults_of_proof

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE, DECISIONS = CHECKOUT / "docs" / "asvs.md", CHECKOUT / "docs" / "security.md"
LEVELS = CHECKOUT / "tests" / "fixtures" / "asvs_5.0.0_levels_1_and_2.txt"
STATES = ("met", "open", "does not apply")
ROW = re.compile(r"^\| (v5\.0\.0-[\d.]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
DATED = re.compile(r"2\d{3}-\d\d-\d\d: \S.{7,}")


@cache
def read_rows() -> list[tuple[str, str, str, str]]:
    return [tuple(cell.strip() for cell in row) for row in ROW.findall(PAGE.read_text())]


@cache
def read_ids() -> dict[str, str]:
    return dict(line.split() for line in LEVELS.read_text().splitlines())


def expand(number: str) -> list[str]:
    """Return the requirements that a row stands for: its own, or those of its section."""
    if number in read_ids():
        return [number]
    return [found for found in read_ids() if found.startswith(f"{number}.")]


def test_the_list_of_requirements_is_the_standards():
    assert Counter(read_ids().values()) == {"1": 70, "2": 183}


def test_every_requirement_is_listed_once():
    listed = Counter(found for row in read_rows() for found in expand(row[0]))
    assert [row[0] for row in read_rows() if not expand(row[0])] == []
    assert set(read_ids()) - set(listed) == set()
    assert [number for number, count in listed.items() if count > 1] == []


def test_every_line_of_the_page_is_read():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| v5")]
    assert len(lines) == len(read_rows())


def test_every_state_has_its_proof_or_its_dated_reason():
    for number, words, state, shown in read_rows():
        assert state in STATES, number
        assert 2 <= len(words.split()) <= 14, (number, words)
        if state == "met":
            assert find_faults_of_proof(shown) == [], number
        else:
            assert DATED.fullmatch(shown), (number, shown)
        if number not in read_ids():
            assert state == "does not apply", number


def test_the_sums_are_right():
    counted = Counter({state: 0 for state in STATES})
    for number, _, state, _ in read_rows():
        counted[state] += len(expand(number))
    told = dict(re.findall(r"^\| ([a-z ]+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE))
    assert {state: str(count) for state, count in counted.items()} == told


def test_the_decisions_are_those_of_the_settings_and_the_code():
    """The figures in bold, in their order; the settings of the suite are those of production."""
    budgets = settings.API_BUDGETS
    mib = 1024 * 1024
    [shortest] = [
        entry["OPTIONS"]["min_length"]
        for entry in settings.AUTH_PASSWORD_VALIDATORS
        if "MinimumLength" in entry["NAME"]
    ]
    expected = [
        csv_file.SYMBOL_LENGTH_MAX,
        budgets["read"],
        budgets["write"],
        budgets["solve"],
        f"{forms.UPLOAD_BYTES_MAX // mib} MB",
        f"{tables.ROWS_MAX:,}",
        f"{tables.COLUMNS_MAX:,}",
        f"{forms.UPLOAD_BYTES_MAX // mib} MB",
        f"{csv_file.BYTES_MAX // mib} MB",
        csv_file.UNZIP_RATIO_MAX,
        doors.FREE_ATTEMPTS,
        doors.WAIT_SECONDS_MAX // 60,
        doors.FREE_ATTEMPTS_OF_A_NETWORK,
        doors.WAIT_SECONDS_MAX_OF_A_NETWORK,
        shortest,
        passwords.LENGTH_MAX,
        settings.STEP_UP_MINUTES,
        settings.IDLE_MINUTES_STAFF,
        settings.IDLE_MINUTES_CLIENTS,
        settings.SESSION_HOURS,
        settings.JOURNAL_RETENTION_YEARS,
        settings.CELERY_TASK_TIME_LIMIT,
        settings.JOURNAL_RETENTION_YEARS,
    ]
    assert re.findall(r"\*\*([^*]+)\*\*", DECISIONS.read_text()) == [str(each) for each in expected]


def test_every_key_of_the_settings_is_in_the_inventory():
    example = (CHECKOUT / ".env.example").read_text()
    keys = set(re.findall(r"^(?:# )?([A-Z_]+_KEY(?:_FILE)?)=", example, re.MULTILINE))
    assert len(keys) >= 3
    page = DECISIONS.read_text().partition("## Keys")[2].partition("\n## ")[0]
    missing = {key for key in keys if f"`{key.removesuffix('_FILE')}" not in page}
    assert missing == set()
