"""Names the app for Django."""

from django.apps import AppConfig


class RebalancerConfig(AppConfig):
    name = "rebalancer"
    verbose_name = "Decisions"
