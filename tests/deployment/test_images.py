"""The commands and health checks of the containers, run natively against the suite's servers."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from django.db import connection

from robo import healthcheck
from robo.localservices import addresses

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


def image_command() -> list[str]:
    text = (CHECKOUT / "Dockerfile").read_text()
    return json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[-1])


def health_command() -> list[str]:
    text = (CHECKOUT / "Dockerfile").read_text()
    return json.loads(re.search(r"HEALTHCHECK [^\[]*?CMD (\[.*\])", text)[1])


def native(argv: list[str], **replacements: str) -> list[str]:
    """Return a container's command with this environment's Python and paths."""
    words = [replacements.get(word, word) for word in argv]
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    return [sys.executable, "-m", *words]


@pytest.fixture
def container_environment(transactional_db):
    """Give the environment of compose, with the addresses of the test servers."""
    local = addresses(Path(os.environ["EVENKEEL_RUNTIME_DIR"]))
    name = connection.settings_dict["NAME"]
    return os.environ | {
        "DATABASE_URL": local.database_url.replace("@/robo?", f"@/{name}?"),
        "DJANGO_ALLOWED_HOSTS": ".advice.example.com",
        "EVENKEEL_HTTPS": "1",
        "EVENKEEL_BEHIND_PROXY": "1",
    }


@contextlib.contextmanager
def running(argv, environment, log_path):
    with (
        log_path.open("wb") as log,
        subprocess.Popen(
            argv, cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_healthy(check, environment, process, log_path):
    """Repeat a health check until it passes, giving up when the service ends or takes a minute."""
    deadline = time.monotonic() + 60
    while subprocess.run(check, cwd=CHECKOUT, env=environment, capture_output=True).returncode:
        log = log_path.read_text(errors="replace")[-2000:]
        assert process.poll() is None, f"the service ended: {log}"
        assert time.monotonic() < deadline, f"never healthy: {log}"
        time.sleep(0.3)


def test_web_passes_its_health_check_behind_https_settings(container_environment, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    check = native(health_command())
    environment = container_environment | {"PORT": port}
    asked = subprocess.run(check, cwd=CHECKOUT, env=environment, capture_output=True)
    assert asked.returncode == 1, "healthy although nothing runs"
    argv = native(image_command(), **{"0.0.0.0:8000": f"127.0.0.1:{port}"})
    log_path = tmp_path / "web.log"
    with running(argv, environment, log_path) as process:
        wait_until_healthy(check, environment, process, log_path)


def test_beat_passes_its_health_check(container_environment, tmp_path):
    schedule = str(tmp_path / "beat-schedule")
    paths = {
        "/tmp/beat-schedule": schedule,
        "--schedule=/tmp/beat-schedule": f"--schedule={schedule}",
    }
    check = native(SERVICES["beat"]["healthcheck"]["test"][1:], **paths)
    assert subprocess.run(check, cwd=CHECKOUT, capture_output=True).returncode == 1
    argv = native(SERVICES["beat"]["command"], **paths)
    log_path = tmp_path / "beat.log"
    with running(argv, container_environment, log_path) as process:
        wait_until_healthy(check, container_environment, process, log_path)


def test_worker_passes_its_health_check(container_environment, tmp_path):
    test = SERVICES["worker"]["healthcheck"]["test"]
    assert test[0] == "CMD-SHELL"
    command = test[1].replace("$$", "$").replace("celery -A", f"'{sys.executable}' -m celery -A")
    check = ["sh", "-c", command]
    # A container has a name of its own; so must this worker beside others of the suite.
    environment = container_environment | {"HOSTNAME": f"container-{os.getpid()}"}
    argv = native(SERVICES["worker"]["command"])
    argv += ["--hostname", f"celery@{environment['HOSTNAME']}"]
    log_path = tmp_path / "worker.log"
    with running(argv, environment | {"REMAP_SIGTERM": "SIGQUIT"}, log_path) as process:
        wait_until_healthy(check, environment, process, log_path)


def test_migrations_run_and_run_again(container_environment):
    argv = native(SERVICES["migrate"]["command"])
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=container_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "No migrations to apply" in done.stdout


def test_health_check_asks_under_an_allowed_name(monkeypatch):
    asked = []

    class Connection:
        def __init__(self, *_args, **_options):
            self.status = 200

        def request(self, _method, _path, headers):
            asked.append(headers["Host"])

        def getresponse(self):
            return self

        def close(self):
            asked.append("closed")

    monkeypatch.setattr(healthcheck.http.client, "HTTPConnection", Connection)
    for hosts in (".advice.example.com,other", "*", "advice.example.com"):
        monkeypatch.setenv("DJANGO_ALLOWED_HOSTS", hosts)
        assert healthcheck.web_answers(port=1)
    assert asked[::2] == ["advice.example.com", "localhost", "advice.example.com"]


def test_image_runs_unprivileged_and_carries_no_secret():
    text = (CHECKOUT / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM") :]
    assert re.search(r"^USER evenkeel$", final, re.MULTILINE)
    assert "SECRET" not in final
    ignored = (CHECKOUT / ".dockerignore").read_text().split()
    assert {".env", ".git", ".robo", ".venv"} <= set(ignored)
