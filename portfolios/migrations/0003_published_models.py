"""A published model version never changes: PostgreSQL refuses it, whoever asks.

Weights may be written only while their version is a draft. A version that is published may do one
thing, retire; one that is retired, nothing.
"""

from django.db import migrations

SQL = """
CREATE FUNCTION refuse_weight_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched bigint[];
BEGIN
    IF tg_op = 'INSERT' THEN touched := ARRAY[NEW.version_id];
    ELSIF tg_op = 'DELETE' THEN touched := ARRAY[OLD.version_id];
    ELSE touched := ARRAY[OLD.version_id, NEW.version_id];
    END IF;
    -- Locked before it is looked at: a version cannot leave DRAFT while its weights are written.
    PERFORM 1 FROM portfolios_modelversion WHERE id = ANY (touched) FOR SHARE;
    IF EXISTS (
        SELECT 1 FROM portfolios_modelversion WHERE id = ANY (touched) AND status <> 'DRAFT'
    ) THEN
        RAISE EXCEPTION 'weights change only while their model version is a draft'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;

CREATE TRIGGER draft_weights_only BEFORE INSERT OR UPDATE OR DELETE ON portfolios_modelweight
    FOR EACH ROW EXECUTE FUNCTION refuse_weight_change();

CREATE FUNCTION refuse_published_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'UPDATE' AND OLD.status = 'PUBLISHED' AND NEW.status = 'RETIRED'
        AND to_jsonb(NEW) - 'status' = to_jsonb(OLD) - 'status'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a published model version is never changed'
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER published_is_final BEFORE UPDATE OR DELETE ON portfolios_modelversion
    FOR EACH ROW WHEN (OLD.status IN ('PUBLISHED', 'RETIRED'))
    EXECUTE FUNCTION refuse_published_change();
"""

REVERSE_SQL = """
DROP TRIGGER published_is_final ON portfolios_modelversion;
DROP FUNCTION refuse_published_change();
DROP TRIGGER draft_weights_only ON portfolios_modelweight;
DROP FUNCTION refuse_weight_change();
"""


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0002_append_only")]
    operations = [migrations.RunSQL(sql=SQL, reverse_sql=REVERSE_SQL)]
