"""What was proposed, seen and approved does not change afterwards: trades are only added to."""

from django.db import migrations

from robo.common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("rebalancer", "0017_stopped_blocks")]

    operations = [append_only("rebalancer_trade"), append_only("rebalancer_tradelot")]
