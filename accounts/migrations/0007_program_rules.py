"""Lets whoever starts ask whether secrets are kept, without seeing a row of any firm."""

from django.db import migrations

FUNCTION = """
    CREATE FUNCTION newest_sealed() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
        SELECT sealed FROM (
            SELECT sealed_value AS sealed, set_at AS at FROM accounts_firmsecret
            WHERE status IN ('ACTIVE', 'PENDING')
            UNION ALL
            SELECT sealed_secret, created_at FROM accounts_webhookendpoint WHERE is_active
        ) AS kept ORDER BY at DESC LIMIT 1
    $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_tenancy"),
    ]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION newest_sealed()"),
    ]
