"""Rules of the books in PostgreSQL itself: adjustments and closings stand, closed days are shut.

A corporate action changes only from announced to applied or withdrawn, a closed break never.
"""

from django.db import migrations

from robo.common.append_only import append_only

CLOSED_PERIODS = migrations.RunSQL(
    sql="""
        CREATE FUNCTION refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM portfolios_closedperiod c
                JOIN accounts_account a ON a.firm_id = c.firm_id AND a.id = NEW.account_id
                WHERE c.closed_through >= NEW.entry_date
                  AND (c.account_id IS NULL OR c.account_id = NEW.account_id)) THEN
                RAISE EXCEPTION 'the books of account % are closed on %',
                    NEW.account_id, NEW.entry_date USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER closed_period BEFORE INSERT ON portfolios_journalentry
            FOR EACH ROW EXECUTE FUNCTION refuse_closed_period();
    """,
    reverse_sql="""
        DROP TRIGGER closed_period ON portfolios_journalentry;
        DROP FUNCTION refuse_closed_period();
    """,
)

ACTIONS = migrations.RunSQL(
    sql="""
        CREATE FUNCTION guard_corporate_action() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR OLD.status <> 'ANNOUNCED'
               OR NEW.status NOT IN ('APPLIED', 'WITHDRAWN')
               OR (to_jsonb(NEW) - '{status,applied_at}'::text[])
                  <> (to_jsonb(OLD) - '{status,applied_at}'::text[]) THEN
                RAISE EXCEPTION 'a corporate action is only applied or withdrawn, once'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER guard_rows BEFORE UPDATE OR DELETE ON portfolios_corporateaction
            FOR EACH ROW EXECUTE FUNCTION guard_corporate_action();
        CREATE TRIGGER guard_table BEFORE TRUNCATE ON portfolios_corporateaction
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER guard_table ON portfolios_corporateaction;
        DROP TRIGGER guard_rows ON portfolios_corporateaction;
        DROP FUNCTION guard_corporate_action();
    """,
)

BREAKS = migrations.RunSQL(
    sql="""
        CREATE FUNCTION guard_break() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            may_change text[] := '{our_quantity,their_quantity,owner_id,closed_at,closed_by_id,
                                   closing_note,closing_entry_id}';
        BEGIN
            IF TG_OP = 'DELETE' OR OLD.closed_at IS NOT NULL
               OR (to_jsonb(NEW) - may_change) <> (to_jsonb(OLD) - may_change) THEN
                RAISE EXCEPTION 'a break is closed once and stays on record'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER guard_rows BEFORE UPDATE OR DELETE ON portfolios_break
            FOR EACH ROW EXECUTE FUNCTION guard_break();
        CREATE TRIGGER guard_table BEFORE TRUNCATE ON portfolios_break
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER guard_table ON portfolios_break;
        DROP TRIGGER guard_rows ON portfolios_break;
        DROP FUNCTION guard_break();
    """,
)


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0006_actions")]
    operations = [
        append_only("portfolios_lotadjustment"),
        append_only("portfolios_closedperiod"),
        CLOSED_PERIODS,
        ACTIONS,
        BREAKS,
    ]
