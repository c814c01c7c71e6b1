"""Row security and grants for the records of attempts."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("rebalancer", "0020_attempts"),
    ]

    # The switch that stops everybody belongs to no firm, nor does an order that is nobody's.
    operations = [secure_tables("rebalancer", shared=("rebalancer_switch", "rebalancer_parkedreport"))]
