"""`manage.py solve`: JSON in and out, no database, exit 1 with the faults as JSON lines."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from rebalancer.engine import solve_case

CHECKOUT = Path(__file__).resolve().parents[2]
CASE = CHECKOUT / "docs" / "cases" / "quick-start.json"
# A port on which no database answers.
NOWHERE = "postgres://nobody:nothing@127.0.0.1:9/none"


def run(*arguments, text=None):
    return subprocess.run(
        [sys.executable, "manage.py", "solve", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": NOWHERE},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_is_solved_without_a_database():
    done = run(str(CASE))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == solve_case(CASE.read_text())
    assert done.stderr == ""


def test_the_input_is_read_and_the_mode_goes_before_the_cases_own():
    done = run("-", "--mode", "BUY_ONLY", text=CASE.read_text())
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["mode"] == "BUY_ONLY"
    assert {trade["side"] for trade in answer["trades"]} <= {"BUY"}


def test_a_refused_case_names_every_fault_and_exits_1():
    case = json.loads(CASE.read_text()) | {"colour": "red"}
    case["prices"]["VTI"] = "NaN"
    done = run("-", text=json.dumps(case))
    assert done.returncode == 1
    assert done.stdout == ""
    faults = [json.loads(line) for line in done.stderr.splitlines()]
    assert [fault["path"] for fault in faults] == ["colour", "prices.VTI"]
    assert "VTI: NaN is not a finite number" in faults[1]["message"]


def refuse(tmp_path, text):
    path = tmp_path / "case.json"
    path.write_bytes(text)
    errors = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("solve", str(path), stderr=errors, stdout=StringIO())
    assert caught.value.code == 1
    return [json.loads(line) for line in errors.getvalue().splitlines()]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xfa", b"[" * 200_000, b"[]"])
def test_what_is_no_case(tmp_path, text):
    [fault] = refuse(tmp_path, text)
    assert fault["path"] == ""


def test_of_many_faults_twenty_are_named_and_the_rest_is_counted(tmp_path):
    text = json.dumps({f"k{n}": 1 for n in range(100)}).encode()
    faults = refuse(tmp_path, text)
    assert len(faults) == 21
    assert "more faults" in faults[-1]["message"]


def test_a_file_that_cannot_be_read(tmp_path):
    for name in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("solve", str(name))
    assert run(str(tmp_path / "none.json")).returncode == 1
