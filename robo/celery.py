"""The Celery application; its settings and the beat schedule are in `robo.settings`."""

import os

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")

app = Celery("robo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect  # type: ignore[untyped-decorator]
def check_before_work(**_facts: object) -> None:
    """Refuse to start where the worker could not do its work."""
    # Not before: Django is set up by then.
    from robo.start import check_start

    check_start()
