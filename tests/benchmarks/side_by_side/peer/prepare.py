"""The peer's rows before it is measured: its account, its key, and the endpoint whose address is printed."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "peer.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - only after the set-up.
from djstripe.models import Account, APIKey, WebhookEndpoint  # noqa: E402

call_command("migrate", verbosity=0)
account, _ = Account.objects.get_or_create(id="acct_benchmark", defaults={"livemode": False, "metadata": {}})
APIKey.objects.get_or_create(
    id="mk_benchmark",
    defaults={
        "secret": "sk_test_0123456789abcdefghijklmn",
        "type": "secret",
        "name": "",
        "livemode": False,
        "djstripe_owner_account": account,
    },
)
endpoint, _ = WebhookEndpoint.objects.get_or_create(
    id="we_benchmark",
    defaults={
        "secret": os.environ["PEER_SECRET"],
        "url": "https://shop.example.org/",
        "enabled_events": ["*"],
        "status": "enabled",
        "livemode": False,
        "api_version": "2026-05-27.dahlia",
        "djstripe_owner_account": account,
    },
)
print(f"/stripe/webhook/{endpoint.djstripe_uuid}/")
