"""Which build a process is of, and whether the database is of the same one.

A process knows the migrations that its code came with; the database knows those it has been
through. Where they differ, code and tables do not fit each other: such a process takes no work.
Claims ask in their own query (`this_build`), so that nothing is claimed by what has just become
old; tasks ask beforehand, at most every few seconds.
"""

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from robo.common.errors import Conflict
from robo.common.schema import DIGITS_SHOWN, PROGRAM, describe_mismatch, digest_migrations

logger = logging.getLogger(__name__)

# So long a task relies on what an earlier one of its process found; claims do not.
AGREEMENT_SECONDS = 10.0
_DIGEST = (
    "(SELECT encode(sha256(convert_to(coalesce(string_agg(app || '.' || name, ','"
    " ORDER BY (app || '.' || name) COLLATE \"C\"), ''), 'UTF8')), 'hex')"
    " FROM django_migrations WHERE app = ANY(%s))"
)
_IS_THIS = f"{_DIGEST} = %s"
_PROGRAMS = (
    f"SELECT application_name, count(*), {_DIGEST} FROM pg_stat_activity"  # noqa: S608
    " WHERE datname = current_database() AND application_name LIKE %s"
    " GROUP BY application_name ORDER BY application_name"
)


class OtherBuild(Conflict):
    """This process and the database are of different builds: it leaves work to one that fits."""


# --- Agreement ------------------------------------------------------------------------------------


def this_build() -> RawSQL:
    """Return the condition, for a query that claims rows, that the database is of this build."""
    return RawSQL(  # noqa: S611 - a constant text, its values apart
        _IS_THIS,
        [settings.OWN_APPS, digest_migrations(settings.OWN_MIGRATIONS)],
        output_field=BooleanField(),
    )


def check_build() -> None:
    """Accept that the process works on the database as it is.

    :raises OtherBuild: when their migrations differ, naming them.
    """
    words = find_mismatch()
    if words:
        raise OtherBuild(words)


def find_mismatch() -> str:
    """Return what the database has that this process does not know, or the other way; or ""."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT app || '.' || name FROM django_migrations WHERE app = ANY(%s)",
            [settings.OWN_APPS],
        )
        applied = {name for (name,) in cursor.fetchall()}
    return describe_mismatch(known=set(settings.OWN_MIGRATIONS), applied=applied)


class Agreement:
    """What a process found when it last compared itself with the database."""

    def __init__(self) -> None:
        self._agreed_at: float | None = None

    def holds(self) -> bool:
        """Return whether the process may take work; if not, the log says why.

        That it may is believed for a few seconds; that it may not is asked again each time.
        """
        now_seconds = time.monotonic()
        if self._agreed_at is not None and 0 <= now_seconds - self._agreed_at < AGREEMENT_SECONDS:
            return True
        words = find_mismatch()
        self._agreed_at = None if words else now_seconds
        if words:
            logger.critical("%s", words)
        return not words


agreement = Agreement()


# --- Who is there ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """Processes of one kind and build that are connected to the database."""

    kind: str
    build: str
    schema: str
    connections: int
    fits: bool


def list_programs() -> list[Program]:
    """Return what is connected to the database, as the processes introduced themselves."""
    with connection.cursor() as cursor:
        cursor.execute(_PROGRAMS, [settings.OWN_APPS, f"{PROGRAM} %"])
        rows = cursor.fetchall()
    programs = []
    for name, connections, digest in rows:
        _program, kind, build, schema = name.split(" ")
        fits = digest[:DIGITS_SHOWN] == schema
        programs.append(Program(kind, build, schema, connections, fits))
    return programs
