"""Migration operations of the second wall: row security by firm, and grants to the roles.

Every table of an app that leads to a firm, by a column or through its parents, shows the web's role
the rows of that firm only. Workers and the owner see all firms. A new table needs the operation
again, in a migration of its own; a test finds what has been forgotten.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import migrations
from django.db.backends.utils import CursorWrapper

from robo.common.append_only import TRIGGER
from robo.common.tenancy import APP_ROLE, WORKER_ROLE

FIRMS, USERS = "accounts_firm", "accounts_user"
FIRM_COLUMN = "firm_id"
# In a sub-select, so that PostgreSQL reads the setting once for each statement, not for each row.
THIS_FIRM = "(SELECT nullif(current_setting('app.firm', true), '')::bigint)"
DOOR_IS_OPEN = "(SELECT current_setting('app.door', true) = 'open')"
POLICIES = ("firm_only", "every_firm", "door_read", "door_change")
_COLUMNS = """
    SELECT c.relname, a.attname, a.attnotnull, p.relname
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint k
           ON k.conrelid = c.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum]
    LEFT JOIN pg_class p ON p.oid = k.confrelid
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and the table that it points to, if any."""

    name: str
    is_required: bool
    parent: str | None


Tables = dict[str, list[Column]]


def secure_tables(
    app_label: str,
    *,
    shared: Collection[str] = (),
    door_read: Collection[str] = (),
    door_change: Collection[str] = (),
) -> migrations.RunPython:
    """Return the operation that puts the app's tables behind the wall and sets everybody's grants.

    `shared` tables also show rows of no firm; those at the door can be read, or changed, before it
    is known whose request it is.
    """

    def secure(apps: Any, schema_editor: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            _check_roles(cursor)
            tables = read_tables(cursor)
            for table in _list_tables(tables, app_label):
                condition = find_condition(tables, table, is_shared=table in shared)
                if condition:
                    _secure(cursor, table, condition)
                if table in door_read:
                    cursor.execute(
                        f"CREATE POLICY door_read ON {table} FOR SELECT TO {APP_ROLE}"
                        f" USING ({DOOR_IS_OPEN})"
                    )
                if table in door_change:
                    cursor.execute(
                        f"CREATE POLICY door_change ON {table} FOR UPDATE TO {APP_ROLE}"
                        f" USING ({DOOR_IS_OPEN}) WITH CHECK ({DOOR_IS_OPEN})"
                    )
            _grant(cursor)

    def open_up(apps: Any, schema_editor: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            for table in _list_tables(read_tables(cursor), app_label):
                for policy in POLICIES:
                    cursor.execute(f"DROP POLICY IF EXISTS {policy} ON {table}")
                cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
                cursor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    return migrations.RunPython(secure, open_up)


def read_tables(cursor: CursorWrapper) -> Tables:
    """Return the columns of every table, by name."""
    cursor.execute(_COLUMNS)
    tables: Tables = {}
    for table, column, is_required, parent in cursor.fetchall():
        tables.setdefault(table, []).append(Column(column, is_required, parent))
    return tables


def find_condition(tables: Tables, table: str, *, is_shared: bool = False) -> str:
    """Return what a row must fulfil to be of this firm, or "" when the table leads to no firm.

    A parent is asked for by its own row security: what is invisible has no visible children.
    """
    if table == FIRMS:
        return f"id = {THIS_FIRM}"
    firm = next((column for column in tables[table] if column.name == FIRM_COLUMN), None)
    if firm is not None:
        # The sub-select again: what stands for itself is read once.
        condition = f"{FIRM_COLUMN} = {THIS_FIRM}"
        return f"({condition} OR {FIRM_COLUMN} IS NULL)" if is_shared else condition
    found = sorted(
        (depth, column.parent == USERS, place, column.name, column.parent)
        for place, column in enumerate(tables[table])
        if column.parent and column.is_required and column.parent != table
        for depth in [_measure_depth(tables, column.parent, frozenset({table}))]
        if depth is not None
    )
    if not found:
        return ""
    _depth, _is_user, _place, name, parent = found[0]
    return f"EXISTS (SELECT 1 FROM {parent} AS parent WHERE parent.id = {table}.{name})"  # noqa: S608


def _measure_depth(tables: Tables, table: str, seen: frozenset[str]) -> int | None:
    """Return how many parents lie between a table and its firm, or None when it leads to none."""
    if table == FIRMS or any(column.name == FIRM_COLUMN for column in tables[table]):
        return 0
    depths = [
        depth
        for column in tables[table]
        if column.parent and column.is_required and column.parent not in seen
        for depth in [_measure_depth(tables, column.parent, seen | {table})]
        if depth is not None
    ]
    return 1 + min(depths) if depths else None


def _list_tables(tables: Tables, app_label: str) -> Iterator[str]:
    return (table for table in sorted(tables) if table.startswith(f"{app_label}_"))


def _secure(cursor: CursorWrapper, table: str, condition: str) -> None:
    for policy in POLICIES:
        cursor.execute(f"DROP POLICY IF EXISTS {policy} ON {table}")
    cursor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    cursor.execute(
        f"CREATE POLICY firm_only ON {table} TO {APP_ROLE}"
        f" USING ({condition}) WITH CHECK ({condition})"
    )
    cursor.execute(
        f"CREATE POLICY every_firm ON {table} TO {WORKER_ROLE}, CURRENT_USER"
        " USING (true) WITH CHECK (true)"
    )


def _check_roles(cursor: CursorWrapper) -> None:
    """Make the roles where that is allowed; a deployment gives them their passwords beforehand."""
    cursor.execute("SELECT rolname FROM pg_roles")
    known = {name for (name,) in cursor.fetchall()}
    for role in sorted({APP_ROLE, WORKER_ROLE} - known):
        cursor.execute(f"CREATE ROLE {role} NOLOGIN")


def _grant(cursor: CursorWrapper) -> None:
    """Let both roles use what is there and what will be; what is on record they only add to."""
    roles = f"{APP_ROLE}, {WORKER_ROLE}"
    data, numbers = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
    cursor.execute(f"GRANT {data} ON ALL TABLES IN SCHEMA public TO {roles}")
    cursor.execute(f"GRANT {numbers} ON ALL SEQUENCES IN SCHEMA public TO {roles}")
    cursor.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {data} ON TABLES TO {roles}")
    cursor.execute(
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {numbers} ON SEQUENCES TO {roles}"
    )
    cursor.execute(f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {roles}")
    cursor.execute(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = %s ORDER BY 1", [TRIGGER]
    )
    for (table,) in cursor.fetchall():
        cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {roles}")
