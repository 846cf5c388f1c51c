from django.apps import AppConfig

from veza.core import facts


class CoreConfig(AppConfig):
    name = "veza.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        facts.reactions()  # A name that leads nowhere stops the start, not the first payment.
