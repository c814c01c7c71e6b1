"""Row security and grants for the tables of decisions."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("portfolios", "0008_tenancy"),
        ("rebalancer", "0009_execution_rules"),
    ]

    # The switch that stops everybody belongs to no firm.
    operations = [secure_tables("rebalancer", shared=("rebalancer_switch",))]
