"""Row security and grants for the tables of facts."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_tenancy"),
        ("portfolios", "0007_action_rules"),
    ]

    operations = [secure_tables("portfolios")]
