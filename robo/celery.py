"""The Celery application; its settings and the beat schedule are in `robo.settings`."""

import logging
import os
from typing import Any

from celery import Celery
from celery.contrib.django.task import DjangoTask
from celery.signals import worker_init

from robo.processes import end_after_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")

logger = logging.getLogger(__name__)


class BuildTask(DjangoTask):  # type: ignore[misc]
    """A task that does nothing in a process of another build than the database.

    What it would have done is in rows: a process that fits finds it there.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, if the process may take work."""
        # Not before: Django is set up by then.
        from robo.common.builds import OtherBuild, agreement

        if not agreement.holds():
            return None
        try:
            return super().__call__(*args, **kwargs)
        except OtherBuild as words:  # the database was migrated since
            logger.critical("%s", words)
            return None


app = Celery("robo", task_cls=BuildTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect  # type: ignore[untyped-decorator]
def check_before_work(**_facts: object) -> None:
    """Refuse to start where the worker could not do its work."""
    # Not before: Django is set up by then.
    from robo.start import check_start

    check_start()
    # Celery says goodbye to Redis, and waits for it even where it was killed with our parent.
    end_after_parent()
