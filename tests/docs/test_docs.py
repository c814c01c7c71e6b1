"""The documents name what exists, and everything that people can run or set is in them."""

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "portfolios", "rebalancer", "robo")
PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]
)
ADRS = sorted((CHECKOUT / "docs" / "adr").glob("*.md"))
IMAGES = sorted((CHECKOUT / "docs" / "images").iterdir())
IMAGE_BYTES_MAX = 300_000
# Made on the machine, and so not in a fresh clone.
MADE_LATER = (".env", ".robo", ".venv", "node_modules")

LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NAME_LINKED_TO_CODE = re.compile(r"\[`([A-Za-z_]\w*)`\]\(([^)\s]+\.py)\)")
PATH_LIKE = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|md|toml|yml|json|txt)")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|work|opt|mnt)/")


def read(page: str) -> str:
    return (CHECKOUT / page).read_text(encoding="utf-8")


def without_code_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def documents() -> str:
    return "\n".join(read(page) for page in PAGES)


@cache
def names_defined_in(path: Path) -> frozenset[str]:
    """Return every class, function, attribute and constant that a file defines, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


@cache
def words_of_the_code() -> frozenset[str]:
    """Return every word of the product's own sources, and of the table of dependencies."""
    sources = [path for app in APPS for path in (CHECKOUT / app).rglob("*.py")]
    sources += [CHECKOUT / "pyproject.toml", CHECKOUT / "Makefile"]
    return frozenset(word for path in sources for word in re.findall(r"\w+", path.read_text()))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", read("Makefile"), re.MULTILINE))


def settings_variables() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", read(".env.example"), re.MULTILINE))


def management_commands() -> set[str]:
    files = [path for app in APPS for path in (CHECKOUT / app).rglob("management/commands/*.py")]
    return {path.stem for path in files} - {"__init__"}


def heading_anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


# --- Everything is mentioned ---


def test_every_command_is_explained():
    commands = management_commands()
    assert {"demo", "create_firm", "check_books"} <= commands, "the search itself must find some"
    guide = read("docs/guide.md")
    assert {name for name in commands if not re.search(rf"`{name}[ `]", guide)} == set()


def test_every_option_of_a_command_that_the_guide_names_exists():
    files = [path for app in APPS for path in (CHECKOUT / app).rglob("management/commands/*.py")]
    known = set(re.findall(r"\"(--[a-z-]+)\"", "".join(path.read_text() for path in files)))
    named = set(re.findall(r"--[a-z-]+", " ".join(CODE.findall(read("docs/guide.md")))))
    assert named - known - {"--rm", "--help", "--detach"} == set()


def test_every_make_target_is_mentioned():
    targets = make_targets()
    assert {"demo", "test", "check"} <= targets
    missing = {
        name
        for name in targets
        for page in ("README.md", "docs/guide.md")
        if not re.search(rf"`(?:make )?{name}\b[^`]*`", read(page))
    }
    assert missing - {"help"} == set()


def test_no_make_target_is_invented():
    code = [*CODE.findall(documents()), *re.findall(r"^make .*$", documents(), re.MULTILINE)]
    named = {match[1] for text in code for match in [re.match(r"make ([a-z]+)", text)] if match}
    assert named - make_targets() == set()


def test_every_setting_is_explained():
    variables = settings_variables()
    assert "DJANGO_SECRET_KEY" in variables
    guide = read("docs/guide.md")
    assert {name for name in variables if f"`{name}`" not in guide} == set()


def test_no_setting_is_invented():
    known = settings_variables() | {"EVENKEEL_DATA_DIR"}
    named = set(re.findall(r"\b(?:EVENKEEL|DJANGO|CELERY)_[A-Z_]+\b", documents()))
    assert named - known == set()


def test_every_dependency_has_its_line():
    project = tomllib.loads(read("pyproject.toml"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["embedded"],
        *project["dependency-groups"]["test"],
    ]
    names = {re.match(r"[\w.-]+(?:\[\w+\])?", entry)[0] for entry in wanted}
    page = read("docs/adr/0014-dependencies.md")
    assert {name for name in names if f"`{name}`" not in page} == set()
    listed = {
        name
        for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
        for name in CODE.findall(row)
    }
    assert listed - names == set(), "a line for a package that is gone"


# --- What is named exists ---


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    broken = []
    for target in LINK.findall(without_code_blocks(read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = ((CHECKOUT / page).parent / name).resolve() if name else CHECKOUT / page
        is_there = path.is_relative_to(CHECKOUT) and path.exists()
        if not is_there or (anchor and anchor not in heading_anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_code_type_exist(page):
    paths = [text for text in CODE.findall(read(page)) if PATH_LIKE.fullmatch(text)]
    missing = [
        path
        for path in paths
        if path.split("/")[0] in (*APPS, "docs", "tests", ".ci") or "/" not in path
        if path.split("/")[0] not in MADE_LATER and not (CHECKOUT / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["docs/life-of-a-rebalance.md", "ARCHITECTURE.md"])
def test_functions_are_where_the_page_says(page):
    text = read(page)
    pairs = NAME_LINKED_TO_CODE.findall(text)
    for names, links in re.findall(r"^\| [^|]+ \| ([^|]+) \| (\[[^|]+) \|", text, re.MULTILINE):
        files = re.findall(r"\]\(([^)]+\.py)\)", links)
        for position, name in enumerate(CODE.findall(names)):
            pairs.append((name, files[min(position, len(files) - 1)]))
    assert len(pairs) > 10, "the search itself must find some"
    wrong = [
        f"{name} is not in {target}"
        for name, target in pairs
        if name not in names_defined_in(((CHECKOUT / page).parent / target).resolve())
    ]
    assert wrong == []


@pytest.mark.parametrize("page", ["docs/life-of-a-rebalance.md", "ARCHITECTURE.md", "SECURITY.md"])
def test_names_with_underscores_exist_in_the_code(page):
    names = {
        text
        for text in CODE.findall(read(page))
        if re.fullmatch(r"[A-Za-z_]+\w*", text) and "_" in text
    }
    assert names, "the search itself must find some"
    assert names - words_of_the_code() == set()


@pytest.mark.parametrize("page", ["docs/life-of-a-rebalance.md", "ARCHITECTURE.md"])
def test_states_exist_in_the_code(page):
    states = {
        text for text in CODE.findall(read(page)) if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)*", text)
    }
    assert states - words_of_the_code() == set()


# --- Form ---


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_place_on_somebodys_machine(page):
    assert MACHINE_PATH.findall(read(page)) == []


def test_decisions_are_numbered_without_gaps_and_have_their_parts():
    assert [path.name[:4] for path in ADRS] == [f"{n:04}" for n in range(1, len(ADRS) + 1)]
    for path in ADRS:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Context", "Decision", "Rejected"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_screenshot_is_small_and_shown_somewhere(image):
    assert image.read_bytes().startswith(b"\x89PNG")
    assert image.stat().st_size < IMAGE_BYTES_MAX
    assert f"images/{image.name})" in documents()


def test_licence_version_and_project_agree():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["license"] == "Apache-2.0"
    licence = read("LICENSE")
    assert "Apache License" in licence
    assert "The Evenkeel authors" in licence
    assert f"## {project['version']}" in read("CHANGELOG.md")


def test_readme_promises_the_pythons_that_the_project_accepts():
    wanted = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    low, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", wanted).groups()
    assert f"Python 3.{low} to 3.{int(below) - 1}" in read("README.md")


def test_readme_shows_the_demos_sign_in():
    from rebalancer.management import demo_firm

    readme = read("README.md")
    people = (demo_firm.ADVISORS[0], demo_firm.HOUSEHOLDS[0].client, demo_firm.ADMINS[0])
    for email, _name in people:
        assert f"`{email}`" in readme
    assert re.search(r'default="([\w-]+)"\) if DEMO', read("robo/settings.py"))[1] in readme


def test_help_prints_what_the_readme_lists():
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.split()[0] for line in printed.stdout.splitlines() if line} == make_targets()
