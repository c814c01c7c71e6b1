"""Migration operations that hold a table to its life cycle in PostgreSQL itself."""

from collections.abc import Iterable

from django.db import migrations


def only_transitions(table: str, pairs: Iterable[tuple[str, str]]) -> migrations.RunSQL:
    """Return the operation that refuses every change of `status` but these (from, to)."""
    allowed = ", ".join(f"('{before}', '{after}')" for before, after in sorted(set(pairs)))
    name = f"keep_transitions_of_{table}"
    return migrations.RunSQL(
        sql=f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF (OLD.status, NEW.status) IN ({allowed}) THEN
                    RETURN NEW;
                END IF;
                RAISE EXCEPTION '% never goes from % to %', tg_table_name, OLD.status, NEW.status
                    USING ERRCODE = 'restrict_violation';
            END $$;
            CREATE TRIGGER keep_transitions BEFORE UPDATE ON {table} FOR EACH ROW
                WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION {name}();
        """,
        reverse_sql=f"""
            DROP TRIGGER keep_transitions ON {table};
            DROP FUNCTION {name}();
        """,
    )


def keep_columns(table: str, columns: Iterable[str]) -> migrations.RunSQL:
    """Return the operation that refuses to change these columns of a row, or to delete it."""
    names = list(columns)
    old, new = (", ".join(f"{row}.{name}" for name in names) for row in ("OLD", "NEW"))
    name = f"keep_columns_of_{table}"
    return migrations.RunSQL(
        sql=f"""
            CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '%: % never changes', tg_table_name, '{", ".join(names)}'
                    USING ERRCODE = 'restrict_violation';
            END $$;
            CREATE TRIGGER keep_columns BEFORE UPDATE ON {table} FOR EACH ROW
                WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {name}();
            CREATE TRIGGER keep_rows BEFORE DELETE ON {table} FOR EACH ROW
                EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER keep_table BEFORE TRUNCATE ON {table} FOR EACH STATEMENT
                EXECUTE FUNCTION refuse_change();
        """,
        reverse_sql=f"""
            DROP TRIGGER keep_table ON {table};
            DROP TRIGGER keep_rows ON {table};
            DROP TRIGGER keep_columns ON {table};
            DROP FUNCTION {name}();
        """,
    )
