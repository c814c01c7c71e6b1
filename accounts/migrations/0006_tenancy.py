"""Row security and grants for the tables about people; the door opens what signing in reads."""

from django.db import migrations

from robo.common.row_security import secure_tables


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_journal_rules"),
    ]

    operations = [
        secure_tables(
            "accounts",
            # Who knocks is looked up before it is known of which firm they are.
            door_read=("accounts_user", "accounts_firm", "accounts_servicetoken"),
            # A new password, a count of sessions, the last time somebody came.
            door_change=("accounts_user",),
        ),
    ]
