"""What PostgreSQL refuses in the journal, and a text and a salt for entries that have none yet.

Links and checkpoints are append-only like entries. Of an entry one change alone is let through:
its words, with their salt, are emptied, once, five years or more after they were written.
"""

import json
import secrets

from django.db import migrations

from accounts.domain.journal import SALT_LENGTH, compose_hidden, compose_sql, write_detail
from accounts.queries.journal import BODY_COLUMNS
from robo.common.append_only import append_only

AT_ONCE = 2000


def write_bodies(apps, schema_editor):
    """Give every entry its text; the actor's role is taken as it is today."""
    columns = {**BODY_COLUMNS, "role": "u.role"}
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(
                f"""SELECT e.id, u.role, e.summary, e.detail, {compose_sql(columns)}
                    FROM accounts_auditentry e JOIN accounts_user u ON u.id = e.actor_id
                    WHERE e.body = '' ORDER BY e.id LIMIT {AT_ONCE}"""
            )
            rows = [_complete(*row) for row in cursor.fetchall()]
            if not rows:
                return
            cursor.execute(
                """UPDATE accounts_auditentry e
                   SET role = t.role, detail = t.detail, salt = t.salt, body = t.body
                   FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[])
                        AS t (id, role, detail, salt, body)
                   WHERE e.id = t.id""",
                [list(column) for column in zip(*rows)],
            )


def _complete(entry_id, role, summary, detail, plain):
    salt = secrets.token_hex(SALT_LENGTH // 2)
    detail = write_detail(json.loads(detail))
    return entry_id, role, detail, salt, plain + compose_hidden(salt, summary, detail)


GUARD_ENTRIES = """
    CREATE FUNCTION refuse_entry_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_op = 'UPDATE' AND OLD.salt <> '' AND NEW.salt = '' AND NEW.summary = ''
            AND NEW.detail = '{}' AND OLD.recorded_at < now() - interval '5 years'
            AND (NEW.id, NEW.firm_id, NEW.recorded_at, NEW.actor_id, NEW.role, NEW.acting_for_id,
                 NEW.action, NEW.household_id, NEW.object_id, NEW.request_id, NEW.body, NEW.xid)
                IS NOT DISTINCT FROM
                (OLD.id, OLD.firm_id, OLD.recorded_at, OLD.actor_id, OLD.role, OLD.acting_for_id,
                 OLD.action, OLD.household_id, OLD.object_id, OLD.request_id, OLD.body, OLD.xid)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'append-only: % on % is refused', tg_op, tg_table_name
            USING ERRCODE = 'restrict_violation';
    END $$;
    DROP TRIGGER append_only_rows ON accounts_auditentry;
    CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON accounts_auditentry
        FOR EACH ROW EXECUTE FUNCTION refuse_entry_change();
    ALTER TABLE accounts_auditentry ADD CONSTRAINT audit_has_body
        CHECK (body <> '' AND length(salt) IN (0, 64));
"""
OPEN_ENTRIES = """
    ALTER TABLE accounts_auditentry DROP CONSTRAINT audit_has_body;
    DROP TRIGGER append_only_rows ON accounts_auditentry;
    CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON accounts_auditentry
        FOR EACH ROW EXECUTE FUNCTION refuse_change();
    DROP FUNCTION refuse_entry_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_doors")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE accounts_auditentry DISABLE TRIGGER append_only_rows",
            migrations.RunSQL.noop,
        ),
        migrations.RunPython(write_bodies, migrations.RunPython.noop),
        migrations.RunSQL(
            "ALTER TABLE accounts_auditentry ENABLE TRIGGER append_only_rows",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(GUARD_ENTRIES, OPEN_ENTRIES),
        append_only("accounts_journallink"),
        append_only("accounts_journalcheckpoint"),
    ]
