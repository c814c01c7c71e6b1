"""Risk profiles and audit entries are never changed, deleted or truncated."""

from django.db import migrations

from robo.common.append_only import CREATE_FUNCTION, append_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        CREATE_FUNCTION,
        append_only("accounts_riskprofile"),
        append_only("accounts_auditentry"),
    ]
