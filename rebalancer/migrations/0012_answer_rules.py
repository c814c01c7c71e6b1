"""A client's answer is never changed, and stands behind the wall between firms."""

from django.db import migrations

from robo.common.append_only import append_only
from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_consent_rules"),
        ("rebalancer", "0011_consents"),
    ]

    operations = [
        append_only("rebalancer_clientanswer"),
        secure_tables("rebalancer", shared=("rebalancer_switch",)),
    ]
