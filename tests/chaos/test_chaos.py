"""A few kills and races in every run; `make chaos` runs hundreds."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from robo.pytest_services import CHECKOUT

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 240


def run(*arguments):
    database = str(connection.settings_dict["NAME"])
    asked = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *arguments, "--here", "--logs"],
        env=os.environ
        | {"DATABASE_URL": os.environ["DATABASE_URL"].replace("/robo?", f"/{database}?")},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert asked.returncode == 0, (asked.stdout + asked.stderr)[-6000:]
    return asked.stdout


def test_whoever_is_killed_nothing_is_lost_doubled_or_stuck():
    said = run("kills", "--kills", "4", "--drops", "3", "--flushes", "1", "--accounts", "6")
    for line in ("doubled: 0", "lost: 0", "stuck: 0", "kills: 0 wrong"):
        assert line in said
    # A run in which nothing was traded would prove nothing.
    assert "slices at the broker: 0" not in said
    assert "approvals acknowledged: 0" not in said


def test_of_four_clicks_at_once_one_decides_and_the_others_are_told():
    said = run("race", "--races", "10")
    assert "races: 10 proposals x 4 at once; wrong: 0" in said
    assert "'200': 10, '409': 30" in said
