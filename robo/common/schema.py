"""The migrations that code comes with: how they are listed, compared, and told to PostgreSQL."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

NAME_LENGTH_MAX = 63  # what PostgreSQL keeps of a connection's name
DIGITS_SHOWN = 8
NAMED_MAX = 3
PROGRAM = "evenkeel"


def list_migrations(base_dir: Path, app_labels: Iterable[str]) -> list[str]:
    """Return the migrations that the code of these apps comes with, as `app.name`, in order."""
    return sorted(
        f"{label}.{path.stem}"
        for label in app_labels
        for path in (base_dir / label / "migrations").glob("[0-9]*.py")
    )


def digest_migrations(names: Iterable[str]) -> str:
    """Return the digest under which a set of migrations is compared and shown."""
    return hashlib.sha256(",".join(sorted(names)).encode()).hexdigest()


def name_connection(kind: str, build: str, names: Iterable[str]) -> str:
    """Return how a process introduces itself to PostgreSQL: its kind, its build, its schema."""
    schema = digest_migrations(names)[:DIGITS_SHOWN]
    room = NAME_LENGTH_MAX - len(f"{PROGRAM} {kind}  {schema}")
    return f"{PROGRAM} {kind} {''.join(build.split())[:room]} {schema}"


def describe_mismatch(*, known: set[str], applied: set[str]) -> str:
    """Return in a sentence how what a process knows differs from what was applied; or ""."""
    newer, missing = sorted(applied - known), sorted(known - applied)
    if newer:
        return (
            f"This process is of an older build than the database, which has {_name(newer)}:"
            " it takes no work until it is replaced."
        )
    if missing:
        return (
            f"This process is of a newer build than the database, which lacks {_name(missing)}:"
            " it takes no work until the database is migrated."
        )
    return ""


def _name(migrations: list[str]) -> str:
    more = len(migrations) - NAMED_MAX
    shown = ", ".join(migrations[:NAMED_MAX])
    return f"{shown} and {more} more" if more > 0 else shown
