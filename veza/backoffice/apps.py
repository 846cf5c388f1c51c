import os

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class BackofficeConfig(AppConfig):
    name = "veza.backoffice"
    label = "backoffice"
    verbose_name = "Back-office"

    def ready(self) -> None:
        from veza.backoffice.groups import apply_groups  # It needs the models, which are loaded only now.

        post_migrate.connect(apply_groups, sender=self)


class BackofficeAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in the place of its own."""

    default = False
    default_site = "veza.backoffice.site.Backoffice"

    def ready(self) -> None:
        """Load the pages of every app, except in a process that serves none (`veza/celery.py`)."""
        if os.environ.get("VEZA_SERVES_PAGES") != "false":
            super().ready()
