"""The files of a deployment agree with each other and with the settings, and name no registry."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
# Read by compose itself, or by the embedded servers; the settings do not know them.
NOT_SETTINGS = {
    "POSTGRES_PASSWORD",
    "POSTGRES_APP_PASSWORD",
    "POSTGRES_WORKER_PASSWORD",
    "REDIS_PASSWORD",
    "PORT",
    "EVENKEEL_POSTGRES_BIN",
    "EVENKEEL_REDIS_SERVER",
}
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|npmjs\.org|--(?:extra-)?index-url\s+\S"
    r"|--find-links\s+\S|^\s*registry\s*=",
    re.MULTILINE,
)


def variables_read_by_settings() -> set[str]:
    source = (CHECKOUT / "robo" / "settings.py").read_text()
    return set(re.findall(r"env(?:\.\w+)?\(\s*\"([A-Z_]+)\"", source))


def variables_in_example() -> dict[str, str]:
    """Return each variable of .env.example with the line above it that is not a variable."""
    found, comment = {}, ""
    for line in (CHECKOUT / ".env.example").read_text().splitlines():
        match = re.match(r"(?:# )?([A-Z][A-Z_]+)=", line)
        if match:
            found[match[1]] = comment
        elif line.startswith("# ") and not line.startswith("# ---"):
            comment = line
        else:
            comment = ""
    return found


def committed_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout, so what is committed is unknown")
    return [CHECKOUT / name for name in listing.stdout.split("\0") if name]


def test_example_names_exactly_the_variables_that_are_read():
    assert set(variables_in_example()) == variables_read_by_settings() | NOT_SETTINGS


def test_example_explains_every_variable():
    unexplained = [name for name, comment in variables_in_example().items() if not comment]
    assert unexplained == []


def test_compose_follows_its_specification():
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
        + ["docker-compose.yml"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_waits_for_services_that_exist_and_can_meet_the_condition(name):
    for needed, rule in COMPOSE["services"][name].get("depends_on", {}).items():
        service = COMPOSE["services"][needed]
        if rule["condition"] == "service_healthy":
            assert "test" in service["healthcheck"]
        else:
            assert rule["condition"] == "service_completed_successfully"
            assert service["restart"] == "no", "a service that restarts never completes"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_is_hardened(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", ["migrate", "web", "worker", "beat"])
def test_service_sets_only_variables_that_settings_read(name):
    given = set(COMPOSE["services"][name]["environment"]) - {"REMAP_SIGTERM"}
    assert given <= variables_read_by_settings()
    assert {"DJANGO_SECRET_KEY", "DATABASE_URL", "CACHE_URL", "CELERY_BROKER_URL"} <= given


def test_compose_takes_every_variable_from_the_example():
    text = (CHECKOUT / "docker-compose.yml").read_text()
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) <= set(variables_in_example())


def test_volumes_and_configs_are_declared():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        for config in service.get("configs", []):
            assert config["source"] in COMPOSE["configs"]


def test_there_is_exactly_one_beat_and_it_stands_alone():
    beats = [s for s in COMPOSE["services"].values() if "beat" in s.get("command", [])]
    assert len(beats) == 1
    assert beats[0]["deploy"]["replicas"] == 1
    assert "-B" not in COMPOSE["services"]["worker"]["command"]


def test_no_committed_file_names_a_registry():
    me = Path(__file__)
    binary = {".png", ".ico", ".gz", ".woff2", ".pdf"}
    named = [
        f"{path.relative_to(CHECKOUT)}: {match[0]}"
        for path in committed_files()
        if path != me and path.suffix not in binary and path.is_file()
        for match in [REGISTRY.search(path.read_text(errors="replace"))]
        if match
    ]
    assert named == []


def test_every_locked_requirement_has_a_hash():
    for name in ("requirements.txt", "requirements-test.txt"):
        entries = re.split(r"\n(?=\S)", (CHECKOUT / name).read_text().strip())
        assert len(entries) > 20
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_test_requirements_contain_the_products_own():
    def pins(name):
        return set(re.findall(r"^([\w.\[\]-]+==[^ \\;]+)", (CHECKOUT / name).read_text(), re.M))

    assert pins("requirements.txt") <= pins("requirements-test.txt")
