"""Loads the Celery application, so that `shared_task` finds it; nothing else."""

from robo.celery import app as celery_app

__all__ = ("celery_app",)
