from django.apps import AppConfig
from django.core.checks import register

from veza import checks


class WiringConfig(AppConfig):
    name = "veza"

    def ready(self) -> None:
        from veza.wiring import assign_ports  # Models cannot be imported before this moment.

        assign_ports()
        register(checks.broken_rules, checks.TAG)
