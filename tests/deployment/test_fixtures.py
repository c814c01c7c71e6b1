"""The fixtures that other tests stand on: a real database, a real worker, a real browser."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, connection

from robo.pytest_services import WorkerProcess, live_processes


@pytest.mark.django_db
def test_the_database_is_postgresql_on_the_suites_own_socket():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database(), current_setting('fsync')")
        user, database, fsync = cursor.fetchone()
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        (is_superuser,) = cursor.fetchone()
    assert (user, database, fsync) == ("robo", "test_robo", "off")
    assert not is_superuser, "a superuser would bypass row security"
    assert os.environ["DATABASE_URL"] in (settings.LOCAL.database_url,)


def test_settings_are_those_of_the_suite_not_of_a_demo_beside_it():
    assert settings.DEMO is False
    assert settings.DEBUG is False
    assert str(settings.RUNTIME_DIR) == os.environ["EVENKEEL_RUNTIME_DIR"]
    assert settings.PAPER_BROKER_PATH.parent == settings.RUNTIME_DIR


def test_the_cache_is_shared_through_redis():
    from django.core.cache import cache

    cache.set("deployment", "here", 5)
    assert cache.get("deployment") == "here"


def test_a_worker_answers_survives_a_restart_and_leaves_nothing(
    celery_worker_process: WorkerProcess,
):
    from robo.celery import app

    def answers() -> list:
        return app.control.ping(timeout=10, limit=1)

    assert len(answers()) == 1
    killed_pid = celery_worker_process.pid
    celery_worker_process.kill9()
    assert live_processes(group=killed_pid) == []
    celery_worker_process.start()
    assert celery_worker_process.pid != killed_pid
    assert len(answers()) == 1


@pytest.mark.browser
def test_the_browser_opens_a_page_of_the_live_server(live_server, page):
    response = page.goto(f"{live_server.url}/health/")
    assert response.status == 200


@pytest.mark.django_db(transaction=True)
def test_append_only_tables_are_emptied_between_tests_but_still_refuse_truncate():
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="append-only"):
        cursor.execute("TRUNCATE portfolios_transfer CASCADE")


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", "CI must run the browser tests, but no Chromium found"), ("", "1 skipped")],
)
def test_missing_browser_is_skipped_with_the_way_to_get_one_but_fails_in_ci(
    tmp_path: Path, ci: str, outcome: str
):
    # This also shows that a second run in the same checkout finds servers of its own.
    argv = [sys.executable, "-m", "pytest", "-rs", __file__, "-k", "the_browser_opens"]
    environment = os.environ | {"CI": ci, "CHROMIUM": "", "PATH": str(tmp_path)}
    inner = subprocess.run(
        argv,
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert outcome in inner.stdout, inner.stdout + inner.stderr
    assert "apt-get install chromium" in inner.stdout
    assert (inner.returncode == 0) == (ci == "")
