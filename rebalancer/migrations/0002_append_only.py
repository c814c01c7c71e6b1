"""Decisions and fills are never changed, deleted or truncated."""

from django.db import migrations

from robo.common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("rebalancer", "0001_initial"), ("accounts", "0002_append_only")]
    operations = [append_only("rebalancer_decision"), append_only("rebalancer_fill")]
