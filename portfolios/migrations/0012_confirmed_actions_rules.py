"""A corporate action goes from recorded to confirmed to applied, or is withdrawn, and changes no more.

What was announced before two people were asked for waits for a second one now.
"""

from django.db import migrations, models

GUARD = """
    CREATE OR REPLACE FUNCTION guard_corporate_action() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        free text[] := '{{status,applied_at{free}}}';
    BEGIN
        IF TG_OP = 'DELETE' OR (OLD.status, NEW.status) NOT IN ({steps})
           OR (to_jsonb(NEW) - free) <> (to_jsonb(OLD) - free) THEN
            RAISE EXCEPTION 'a corporate action is only {words}applied or withdrawn, once'
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END $$;
"""
BEFORE = GUARD.format(
    free="", words="", steps="('ANNOUNCED', 'APPLIED'), ('ANNOUNCED', 'WITHDRAWN')"
)
AFTER = GUARD.format(
    free=",confirmed_by_id,confirmed_at",
    words="confirmed, ",
    steps="('RECORDED', 'ANNOUNCED'), ('RECORDED', 'WITHDRAWN'),"
    " ('ANNOUNCED', 'APPLIED'), ('ANNOUNCED', 'WITHDRAWN')",
)
MOVE = """
    ALTER TABLE portfolios_corporateaction DISABLE TRIGGER guard_rows;
    UPDATE portfolios_corporateaction SET status = '{to}' WHERE status = '{of}';
    ALTER TABLE portfolios_corporateaction ENABLE TRIGGER guard_rows;
"""


class Migration(migrations.Migration):

    dependencies = [("portfolios", "0011_confirmed_actions")]

    operations = [
        migrations.RunSQL(
            sql=MOVE.format(of="ANNOUNCED", to="RECORDED") + AFTER,
            reverse_sql=MOVE.format(of="RECORDED", to="ANNOUNCED") + BEFORE,
        ),
        migrations.AddConstraint(
            model_name="corporateaction",
            constraint=models.CheckConstraint(condition=models.Q(models.Q(("confirmed_at__isnull", True), ("confirmed_by__isnull", True), models.Q(("status", "ANNOUNCED"), _negated=True)), models.Q(("confirmed_at__isnull", False), ("confirmed_by__isnull", False), models.Q(("recorded_by", models.F("confirmed_by")), _negated=True)), _connector="OR"), name="action_by_two"),
        ),
    ]
