"""Estimates of costs are only added to, and are seen by their own firm."""

from django.db import migrations

from robo.common.append_only import append_only
from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [("rebalancer", "0015_costs")]

    operations = [
        append_only("rebalancer_costestimate"),
        secure_tables("rebalancer", shared=("rebalancer_switch", "rebalancer_parkedreport")),
    ]
