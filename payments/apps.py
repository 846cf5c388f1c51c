from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from payments.ledger.chart_of_accounts import SYSTEM_ACCOUNTS


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        post_migrate.connect(open_system_accounts, sender=self)


def open_system_accounts(sender: AppConfig, **_options: Any) -> None:
    """Create the ledger's own accounts after every migrate, so that no migration has to insert rows."""
    account = sender.get_model("LedgerAccount")
    account._default_manager.bulk_create([account(code=code) for code in SYSTEM_ACCOUNTS], ignore_conflicts=True)
