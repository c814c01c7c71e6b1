"""What the product's own sources never do: run text, build SQL from it, trust chance or markup."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.conf import settings

CHECKOUT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "portfolios", "rebalancer", "robo")
# Programs of ours are started here, with lists of words and no shell.
STARTS_PROGRAMS = {"robo/supervisor.py", "robo/processes.py", "robo/pytest_services.py"}
# SQL put together here is made of names of tables and roles that stand in the sources.
BUILDS_SQL = {
    "accounts/queries/chain_walk.py",  # a constant list of columns
    "rebalancer/brokers/paper/record.py",  # as many question marks as values
    "rebalancer/brokers/paper/schema.py",
    "robo/common/row_security.py",
    "robo/localdatabase.py",
    "robo/pytest_services.py",
}
# Chance that hides nothing: a simulated market and broker, a statistical test, spread-out retries.
PLAYS_DICE = {
    "accounts/tasks.py",
    "portfolios/price_sources/simulated.py",
    "rebalancer/brokers/paper/__init__.py",
    "rebalancer/brokers/paper/dial.py",
    "rebalancer/brokers/paper/exchange.py",
    "rebalancer/brokers/paper/market.py",
    "rebalancer/brokers/paper/server.py",
    "rebalancer/brokers/paper/telling.py",
    "rebalancer/domain/fairness.py",
    "rebalancer/management/demo_build.py",
    "rebalancer/management/demo_lots.py",
}
# Patterns that are put together are made of constants of the same file.
BUILDS_PATTERNS = {
    "accounts/domain/webhook_targets.py",
    "rebalancer/forms/policies.py",
    "robo/common/api/idempotency.py",
}
# Help texts are the developers' own words.
MARKED_SAFE = {("templates/_includes/field.html", "field.help_text|safe")}


@cache
def read_sources() -> dict[str, ast.Module]:
    """Return the syntax tree of every source that is not a migration, by its path."""
    return {
        path.relative_to(CHECKOUT).as_posix(): ast.parse(path.read_text())
        for app in APPS
        for path in sorted((CHECKOUT / app).rglob("*.py"))
        if "migrations" not in path.parts
    }


def find_calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Return every call with its file and its full name as written."""
    for path, tree in read_sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield path, ast.unparse(node.func), node


def find_imports() -> Iterator[tuple[str, str]]:
    """Return every import with its file: names of modules, in full."""
    for path, tree in read_sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((path, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield path, node.module or ""


def read_files(*patterns: str) -> dict[str, str]:
    """Return texts of ours in templates and scripts, by path."""
    return {
        path.relative_to(CHECKOUT).as_posix(): path.read_text()
        for pattern in patterns
        for path in sorted(CHECKOUT.glob(pattern))
    }


def test_there_is_something_to_look_at():
    assert len(read_sources()) > 250
    assert sum(name.endswith("execute") for _, name, _ in find_calls()) > 20
    assert len(read_files("templates/**/*.html")) > 60
    assert len(read_files("robo/static/robo/*.js")) >= 5


def test_no_text_is_run_as_a_program():
    banned = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn"}
    found = [(path, name) for path, name, _ in find_calls() if name in banned]
    assert found == []
    shells = [
        path
        for path, _, call in find_calls()
        for keyword in call.keywords
        if keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
    ]
    assert shells == []
    starters = {path for path, module in find_imports() if module == "subprocess"}
    assert starters <= STARTS_PROGRAMS


def test_nothing_is_unpacked_into_objects():
    banned = {"pickle", "marshal", "shelve", "dill", "jsonpickle", "yaml"}
    assert [pair for pair in find_imports() if pair[1].split(".")[0] in banned] == []
    assert settings.CELERY_ACCEPT_CONTENT == ["json"]
    assert settings.CACHES["default"]["OPTIONS"]["serializer"] == "robo.common.cache.JsonSerializer"
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


def test_sql_holds_no_text_of_a_person():
    built = {
        path
        for path, name, call in find_calls()
        if name.rpartition(".")[2] in {"execute", "executemany", "raw", "RawSQL"}
        and call.args
        and isinstance(call.args[0], ast.JoinedStr | ast.BinOp)
    }
    assert built <= BUILDS_SQL, built - BUILDS_SQL
    assert [path for path, name, _ in find_calls() if name.endswith(".extra")] == []


def test_no_pattern_and_no_format_comes_from_a_person():
    built = {
        path
        for path, name, call in find_calls()
        if name.startswith("re.") and call.args and isinstance(call.args[0], ast.JoinedStr)
    }
    assert built <= BUILDS_PATTERNS
    named = {
        (path, ast.unparse(call.args[0]))
        for path, name, call in find_calls()
        if name.startswith("re.") and call.args and isinstance(call.args[0], ast.Name)
    }
    assert all(pattern.isupper() for _, pattern in named), named
    # `request.…format(` or `form.…format(` would let somebody look into our objects.
    given = [
        (path, name)
        for path, name, _ in find_calls()
        if name.endswith(".format") and re.match(r"(self\.)?(request|form|data|body|value)\b", name)
    ]
    assert given == []


def test_xml_is_read_by_the_parser_that_refuses_entities():
    parsers = {
        (path, module)
        for path, module in find_imports()
        if module.split(".")[0] in {"xml", "lxml", "bs4", "html5lib"}
    }
    assert {module for _, module in parsers} <= {
        "xml.sax",
        "xml.sax.handler",
        "xml.sax.xmlreader",
    }
    made = [
        name for _, name, _ in find_calls() if re.fullmatch(r".*\b(make_parser|parse\w*)", name)
    ]
    assert not any(name.startswith(("xml.", "ElementTree.", "ET.", "minidom.")) for name in made)
    for path in {path for path, _ in parsers}:
        assert "defusedxml.sax" in {module for file, module in find_imports() if file == path}


def test_weak_hashes_and_weak_chance_are_not_used():
    hashes = {name for _, name, _ in find_calls() if re.fullmatch(r"hashlib\.\w+", name)}
    assert hashes == {"hashlib.sha256", "hashlib.sha512"}
    assert {path for path, module in find_imports() if module == "random"} <= PLAYS_DICE
    uuids = {name for _, name, _ in find_calls() if name in {"uuid.uuid1", "uuid.uuid3"}}
    assert uuids == set()


def test_what_must_not_be_guessed_has_256_bits_from_the_system():
    long = [
        ast.unparse(call)
        for path, call_name, call in find_calls()
        if call_name == "secrets.token_urlsafe" and path.startswith("accounts/")
    ]
    assert long == ["secrets.token_urlsafe(32)"] * 2


def test_templates_escape_everything():
    sources = read_files("templates/**/*.html", "*/templates/**/*.html")
    safe = {
        (path, match)
        for path, text in sources.items()
        for match in re.findall(r"[\w.]+\s*\|\s*safe\b", text)
    }
    assert safe <= MARKED_SAFE
    assert [path for path, text in sources.items() if "autoescape" in text] == []
    banned = ("mark_safe", "SafeString", "Template", "engines.from_string")
    assert [(path, name) for path, name, _ in find_calls() if name.split(".")[-1] in banned] == []


def test_scripts_write_text_and_never_markup():
    scripts = read_files("robo/static/robo/*.js")
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\b"
    assert [path for path, text in scripts.items() if re.search(banned, text)] == []
    assert any("textContent" in text for text in scripts.values())
    # No window talks to ours, no object is built from names that somebody chose.
    for path, text in scripts.items():
        assert "postMessage" not in text, path
        assert "__proto__" not in text, path
        assert not re.search(r"addEventListener\(\s*[\"']message[\"']", text), path
        assert not re.search(r"\.prototype\b|\bObject\.setPrototypeOf", text), path


def test_the_browser_keeps_the_colours_of_the_page_and_nothing_else():
    scripts = read_files("robo/static/robo/*.js")
    kept = {
        match
        for text in scripts.values()
        for match in re.findall(r"(?:local|session)Storage\.\w+\([^)]*\)", text)
    }
    assert kept == {'localStorage.getItem("theme")', 'localStorage.setItem("theme", current)'}
    used = " ".join(scripts.values())
    assert not re.search(r"indexedDB|document\.cookie|caches\.open|serviceWorker", used)


def test_outdated_techniques_of_browsers_are_not_used():
    pages = read_files("templates/**/*.html")
    found = [
        path for path, text in pages.items() if re.search(r"<(object|embed|applet|iframe)\b", text)
    ]
    assert found == []
