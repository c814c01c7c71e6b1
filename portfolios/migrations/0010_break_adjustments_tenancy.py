"""Row security and grants for the entries that settle breaks."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_tenancy"),
        ("portfolios", "0009_break_adjustments"),
    ]

    operations = [secure_tables("portfolios")]
