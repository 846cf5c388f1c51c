from django.apps import AppConfig
from django.core.checks import register

from veza import checks


class WiringConfig(AppConfig):
    name = "veza"

    def ready(self) -> None:
        register(checks.broken_rules, checks.TAG)
