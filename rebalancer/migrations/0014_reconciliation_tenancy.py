"""Row security and grants for the tables of reconciliation."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("portfolios", "0008_tenancy"),
        ("rebalancer", "0013_reconciliation"),
    ]

    # The switch that stops everybody belongs to no firm, nor does an order that is nobody's.
    operations = [secure_tables("rebalancer", shared=("rebalancer_switch", "rebalancer_parkedreport"))]
