"""Migration operations that make a table append-only in PostgreSQL itself."""

from django.db import migrations

from robo.common.tenancy import APP_ROLE, WORKER_ROLE

# By this trigger the grants know which tables are only added to.
TRIGGER = "append_only_rows"

CREATE_FUNCTION = migrations.RunSQL(
    sql="""
        CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
                USING ERRCODE = 'restrict_violation';
        END $$;
    """,
    reverse_sql="DROP FUNCTION IF EXISTS refuse_change();",
)


def append_only(table: str) -> migrations.RunSQL:
    """Return the operation that refuses UPDATE, DELETE and TRUNCATE on `table`."""
    return migrations.RunSQL(
        sql=f"""
            CREATE TRIGGER {TRIGGER} BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION refuse_change();
            CREATE TRIGGER append_only_table BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            DO $$ DECLARE role name; BEGIN
                FOR role IN SELECT rolname FROM pg_roles
                    WHERE rolname IN ('{APP_ROLE}', '{WORKER_ROLE}') LOOP
                    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM %I', role);
                END LOOP;
            END $$;
        """,  # noqa: S608
        reverse_sql=f"""
            DROP TRIGGER append_only_table ON {table};
            DROP TRIGGER {TRIGGER} ON {table};
        """,
    )
