"""The settings of the demo's processes: random secrets, no real provider, nothing from the shell."""

import os
import secrets

from dev.ports import HOST

# Other variables of the shell cannot change the demo or connect it to a real provider.
PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
)


def demo_settings(stores: dict[str, str], base_url: str, password: str) -> dict[str, str]:
    """Return the environment for Django and the sandbox; the providers' addresses are not known yet.

    `stores` are DATABASE_URL and REDIS_URL, `password` is that of all users in the sample data.
    """
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **stores,
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": f"{HOST},localhost",
        "DJANGO_SETTINGS_MODULE": "veza.settings",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DEBUG": "false",
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "VEZA_ENVIRONMENT": "development",
        "PUBLIC_BASE_URL": base_url,
        "DEMO_PASSWORD": password,
        "HYPERSWITCH_ENABLED": "true",
        "HYPERSWITCH_API_KEY": f"snd_{secrets.token_hex(16)}",
        "HYPERSWITCH_WEBHOOK_SECRET": secrets.token_hex(32),
        "HYPERSWITCH_PROFILE_ID": "pro_sandbox",
        "HYPERSWITCH_MERCHANT_ID": "merchant_sandbox",
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(16)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
        "SMTP_FROM": "receipts@shop.example",
        "EMAIL_CHECK_INTERVAL": "1s",
        "REVIEW_DIGEST_ADDRESS": "finance@shop.example",
        # The user is watching: look for work every second, not every minute.
        "TRANSFER_RETRY_CHECK_INTERVAL": "1s",
        "REVERSAL_CHECK_INTERVAL": "1s",
    }
