"""Consents and reviews are only added to; texts and mandates keep their words once they stand."""

from django.db import migrations

from robo.common.append_only import append_only
from robo.common.row_security import secure_tables

KEEP_WORDS = """
    CREATE FUNCTION keep_words() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_op = 'UPDATE' AND to_jsonb(OLD) -> tg_argv[0] = 'null'
            AND to_jsonb(NEW) - tg_argv = to_jsonb(OLD) - tg_argv THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% on % is refused: what was said stays', tg_op, tg_table_name
            USING ERRCODE = 'restrict_violation';
    END $$;
    CREATE TRIGGER keep_words BEFORE UPDATE OR DELETE ON accounts_disclosure
        FOR EACH ROW EXECUTE FUNCTION
        keep_words('published_at', 'published_by_id', 'effective_date');
    CREATE TRIGGER keep_words BEFORE UPDATE OR DELETE ON accounts_mandate
        FOR EACH ROW EXECUTE FUNCTION keep_words('ended_at', 'ended_by_id');
"""
DROP = """
    DROP TRIGGER keep_words ON accounts_mandate;
    DROP TRIGGER keep_words ON accounts_disclosure;
    DROP FUNCTION keep_words();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_consents"),
    ]

    operations = [
        append_only("accounts_consent"),
        append_only("accounts_profilereview"),
        migrations.RunSQL(KEEP_WORDS, DROP),
        secure_tables(
            "accounts",
            door_read=("accounts_user", "accounts_firm", "accounts_servicetoken"),
            door_change=("accounts_user",),
        ),
    ]
