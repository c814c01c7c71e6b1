"""Prices, journal entries, transfers and disposals are never changed, deleted or truncated."""

from django.db import migrations

from robo.common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0001_initial"), ("accounts", "0002_append_only")]
    operations = [
        append_only("portfolios_price"),
        append_only("portfolios_journalentry"),
        append_only("portfolios_transfer"),
        append_only("portfolios_disposal"),
    ]
