"""The Celery application; its settings and the beat schedule are in `robo.settings`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")

app = Celery("robo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
