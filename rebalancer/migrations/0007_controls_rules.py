"""What PostgreSQL itself refuses about controls: to rewrite what was entered, or figures of limits,
or to make a switch vanish.
"""

from django.db import migrations

from robo.common.append_only import append_only

DECIDED_COLUMNS = "'status', 'decided_by_id', 'decided_at', 'decision_note'"
KEEP_FIGURES = migrations.RunSQL(
    sql=f"""
        CREATE FUNCTION keep_limit_figures() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF tg_op = 'UPDATE'
               AND (to_jsonb(OLD) - ARRAY[{DECIDED_COLUMNS}])
                   = (to_jsonb(NEW) - ARRAY[{DECIDED_COLUMNS}])
               AND (OLD.status, NEW.status) IN (
                   ('PROPOSED', 'IN_FORCE'), ('PROPOSED', 'REFUSED'), ('PROPOSED', 'WITHDRAWN'),
                   ('IN_FORCE', 'RETIRED'))
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'limits of a revision never change: % is refused', tg_op
                USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER keep_limit_figures BEFORE UPDATE OR DELETE ON rebalancer_limitset
            FOR EACH ROW EXECUTE FUNCTION keep_limit_figures();
    """,
    reverse_sql="""
        DROP TRIGGER keep_limit_figures ON rebalancer_limitset;
        DROP FUNCTION keep_limit_figures();
    """,
)
KEEP_SWITCHES = migrations.RunSQL(
    sql="""
        CREATE TRIGGER keep_switches BEFORE DELETE ON rebalancer_switch
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        CREATE TRIGGER keep_all_switches BEFORE TRUNCATE ON rebalancer_switch
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER keep_all_switches ON rebalancer_switch;
        DROP TRIGGER keep_switches ON rebalancer_switch;
    """,
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_append_only"),
        ("rebalancer", "0006_controls"),
    ]
    operations = [append_only("rebalancer_enteredorder"), KEEP_FIGURES, KEEP_SWITCHES]
