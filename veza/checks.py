"""Settings that must be right before Veza starts: each rule says what is wrong and what to set.

Registered as Django checks, so every management command that runs them (`migrate` too) refuses; the web process, the
workers and beat run them themselves, because neither gunicorn nor Celery stops at a failed check.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import OperationalError, connection
from django.http.request import validate_host

from connect.stripe.currencies import STRIPE_AMOUNTS
from connect.stripe.regions import COUNTRIES
from payments.hyperswitch.currencies import HYPERSWITCH_AMOUNTS
from veza.core.database_rights import excessive_rights, missing_timeouts

TAG = "start"
PRODUCTION = ("sandbox", "live")
ENVIRONMENTS = ("development", "sandbox", "live")
LONG_ENOUGH = 50  # Characters: what Django's own generator makes.
VARIED_ENOUGH = 12
SECRET_LENGTH = 16
MAX_PORT = 65_535
LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "::1", ".localhost", "*"}
# gunicorn restarts a dead worker for ever, unless it exited with this status: then gunicorn stops as well.
WORKER_FAILED_TO_BOOT = 3


@dataclass(frozen=True)
class Rule:
    """`is_broken` checks the settings; `hint` says what to set."""

    code: str
    message: str
    hint: str
    is_broken: Callable[[Any], bool]


def _default_key(config: Any) -> bool:
    key = config.SECRET_KEY
    return len(key) < LONG_ENOUGH or len(set(key)) < VARIED_ENOUGH or "insecure" in key


def _only_this_machine(config: Any) -> bool:
    return not config.ALLOWED_HOSTS or bool(LOCAL_HOSTS & set(config.ALLOWED_HOSTS))


def _own_host_refused(config: Any) -> bool:
    host = urlsplit(config.PUBLIC_BASE_URL).hostname or ""
    return not _only_this_machine(config) and not validate_host(host, config.ALLOWED_HOSTS)


def _short(secrets: Iterable[str]) -> bool:
    return any(len(secret) < SECRET_LENGTH for secret in secrets)


def _plain_http(url: str) -> bool:
    return urlsplit(url).scheme != "https"


def _named_sandbox(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return "sandbox" in host or host in LOCAL_HOSTS


def _is_moved_by_both(currency: str) -> bool:
    return all(table.knows(currency) for table in (HYPERSWITCH_AMOUNTS, STRIPE_AMOUNTS))


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


IN_PRODUCTION = (
    Rule(
        "E002",
        "DEBUG is on: error pages would show source and settings to everyone.",
        "Set DEBUG=false.",
        lambda config: config.DEBUG,
    ),
    Rule(
        "E003",
        "SECRET_KEY is the default, or short: an attacker could forge a log-in.",
        f"Set SECRET_KEY to {LONG_ENOUGH} or more random characters, the same in every process: "
        'python -c "import secrets; print(secrets.token_urlsafe(48))".',
        _default_key,
    ),
    Rule(
        "E004",
        "ALLOWED_HOSTS names only this machine, or every host.",
        "Set ALLOWED_HOSTS to the host names that buyers use, separated by commas: shop.example.org.",
        _only_this_machine,
    ),
    Rule(
        "E005",
        "PUBLIC_BASE_URL does not begin with https://: log-ins and payments would travel unencrypted.",
        "Set PUBLIC_BASE_URL to the https:// address where buyers reach this Veza.",
        lambda config: _plain_http(config.PUBLIC_BASE_URL),
    ),
    Rule(
        "E006",
        "ALLOWED_HOSTS does not contain PUBLIC_BASE_URL's host: buyers who have paid would return to an error.",
        "Add PUBLIC_BASE_URL's host to ALLOWED_HOSTS, or correct PUBLIC_BASE_URL.",
        _own_host_refused,
    ),
    Rule(
        "E007",
        "TRUSTED_PROXIES is not set: a caller could invent any address.",
        "Set TRUSTED_PROXIES to the number of your proxies in front of the web process; 0 says that there is none.",
        lambda config: "TRUSTED_PROXIES" not in config.SET_EXPLICITLY or config.TRUSTED_PROXIES < 0,
    ),
    Rule(
        "E008",
        "DATABASE_URL is not set, or does not name a PostgreSQL.",
        "Set DATABASE_URL=postgres://USER:PASSWORD@HOST:5432/NAME.",
        lambda config: (
            "DATABASE_URL" not in config.SET_EXPLICITLY
            or config.DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql"
        ),
    ),
    Rule(
        "E009",
        "REDIS_URL is not set: workers in other processes would get no tasks.",
        "Set REDIS_URL=redis://:PASSWORD@HOST:6379/0.",
        lambda config: not config.REDIS_URL,
    ),
    Rule(
        "E010",
        "Hyperswitch is switched off: buyers could order, but not pay.",
        "Set HYPERSWITCH_ENABLED=true.",
        lambda config: not config.HYPERSWITCH_ENABLED,
    ),
    Rule(
        "E011",
        "HYPERSWITCH_API_KEY is empty.",
        "Set HYPERSWITCH_API_KEY to the account's secret key.",
        lambda config: not config.HYPERSWITCH_API_KEY,
    ),
    Rule(
        "E012",
        "HYPERSWITCH_WEBHOOK_SECRET is empty or too short.",
        "Set HYPERSWITCH_WEBHOOK_SECRET to the profile's payment response hash key.",
        lambda config: not config.HYPERSWITCH_WEBHOOK_SECRETS or _short(config.HYPERSWITCH_WEBHOOK_SECRETS),
    ),
    Rule(
        "E013",
        "HYPERSWITCH_PROFILE_ID is empty: webhooks of another profile would look like ours.",
        "Set HYPERSWITCH_PROFILE_ID to the profile that payments are made under.",
        lambda config: not config.HYPERSWITCH_PROFILE_ID,
    ),
    Rule(
        "E014",
        "STRIPE_SECRET_KEY is empty: no seller could be paid.",
        "Set STRIPE_SECRET_KEY to the platform's secret key.",
        lambda config: not config.STRIPE_SECRET_KEY,
    ),
    Rule(
        "E015",
        "STRIPE_WEBHOOK_SECRET is empty or too short.",
        "Set STRIPE_WEBHOOK_SECRET to the signing secret of the webhook endpoint (whsec_…).",
        lambda config: not config.STRIPE_WEBHOOK_SECRETS or _short(config.STRIPE_WEBHOOK_SECRETS),
    ),
    Rule(
        "E016",
        "A provider would be called over plain http, with our secret key unencrypted.",
        "Set HYPERSWITCH_BASE_URL and STRIPE_BASE_URL to https:// addresses.",
        lambda config: _plain_http(config.HYPERSWITCH_BASE_URL) or _plain_http(config.STRIPE_BASE_URL),
    ),
    Rule(
        "E017",
        "METRICS_TOKEN is too short: it could be guessed.",
        f"Set METRICS_TOKEN to {SECRET_LENGTH} or more random characters, or leave it out (this machine only).",
        lambda config: bool(config.METRICS_TOKEN) and _short([config.METRICS_TOKEN]),
    ),
    Rule(
        "E025",
        "SMTP_HOST is empty, or SMTP_PORT is no port: no e-mail would be sent.",
        "Set SMTP_HOST to your mail server, and SMTP_PORT to 587 (STARTTLS) or 465 (TLS).",
        lambda config: not config.SMTP_HOST or not 0 < config.SMTP_PORT <= MAX_PORT,
    ),
    Rule(
        "E026",
        "SMTP_USERNAME or SMTP_PASSWORD is empty: the mail server would reject us.",
        "Set SMTP_USERNAME and SMTP_PASSWORD to the log-in at your mail server.",
        lambda config: not config.SMTP_USERNAME or not config.SMTP_PASSWORD,
    ),
    Rule(
        "E027",
        "SMTP_TLS is off: the password and every e-mail would travel unencrypted.",
        "Set SMTP_TLS=true.",
        lambda config: not config.SMTP_TLS,
    ),
    Rule(
        "E028",
        "SMTP_FROM is not an e-mail address, or SMTP_FROM_NAME is empty: mailboxes would reject our e-mails.",
        "Set SMTP_FROM to an address of a domain that your mail server may send for, and SMTP_FROM_NAME to your name.",
        lambda config: not _is_address(config.SMTP_FROM) or not config.SMTP_FROM_NAME.strip(),
    ),
    Rule(
        "E029",
        "REVIEW_DIGEST_ADDRESS is not an e-mail address.",
        "Set REVIEW_DIGEST_ADDRESS to the address of your finance group, or leave it out.",
        lambda config: bool(config.REVIEW_DIGEST_ADDRESS) and not _is_address(config.REVIEW_DIGEST_ADDRESS),
    ),
    Rule(
        "E030",
        "EMAIL_LINK_ORIGINS lists an address that does not begin with https://: links could be tampered with.",
        "Set EMAIL_LINK_ORIGINS to https:// origins, such as https://shop.example.org, or leave it out.",
        lambda config: any(_plain_http(origin) for origin in config.EMAIL_LINK_ORIGINS),
    ),
)

ALWAYS = (
    Rule(
        "E031",
        "A currency of CURRENCIES cannot be both collected by Hyperswitch and transferred by Stripe.",
        "Set CURRENCIES to codes of ISO 4217 that both providers list, such as EUR,USD.",
        lambda config: any(not _is_moved_by_both(currency) for currency in config.CURRENCIES),
    ),
    Rule(
        "E032",
        "REVIEW_DIGEST_LANGUAGE is not a language of our e-mails.",
        "Set REVIEW_DIGEST_LANGUAGE to en or fr.",
        lambda config: config.REVIEW_DIGEST_LANGUAGE not in dict(config.LANGUAGES),
    ),
    Rule(
        "E033",
        "PRICE_CHANGE_NOTICE is shorter than SUBSCRIPTION_REMINDER_BEFORE: a reminder could name the old price.",
        "Set PRICE_CHANGE_NOTICE to at least SUBSCRIPTION_REMINDER_BEFORE, such as 30d.",
        lambda config: config.PRICE_CHANGE_NOTICE < config.SUBSCRIPTION_REMINDER_BEFORE,
    ),
    Rule(
        "E034",
        "STRIPE_PLATFORM_COUNTRY is no country of a region that Stripe pays sellers in.",
        "Set STRIPE_PLATFORM_COUNTRY to the country of your account at Stripe by ISO 3166: FR.",
        lambda config: config.STRIPE_PLATFORM_COUNTRY not in COUNTRIES,
    ),
    Rule(
        "E035",
        "STRIPE_CAPABILITIES does not name transfers: no seller could be paid.",
        "Set STRIPE_CAPABILITIES=transfers,card_payments.",
        lambda config: "transfers" not in config.STRIPE_CAPABILITIES,
    ),
)

NOT_LIVE = (
    Rule(
        "E020",
        "A live Stripe key outside the live environment: tests would move real money.",
        "Set STRIPE_SECRET_KEY to a test key (sk_test_… or rk_test_…), or VEZA_ENVIRONMENT=live.",
        lambda config: config.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")),
    ),
    Rule(
        "E021",
        "A live Hyperswitch key or server outside the live environment: tests would move real money.",
        "Set HYPERSWITCH_API_KEY to a sandbox key (snd_…) and HYPERSWITCH_BASE_URL to https://sandbox.hyperswitch.io, "
        "or VEZA_ENVIRONMENT=live.",
        lambda config: (
            config.HYPERSWITCH_API_KEY.startswith("prd_")
            or urlsplit(config.HYPERSWITCH_BASE_URL).hostname == "api.hyperswitch.io"
        ),
    ),
)

LIVE = (
    Rule(
        "E022",
        "A Stripe key that is no live key in the live environment: sellers would be paid in test money.",
        "Set STRIPE_SECRET_KEY to the live key (sk_live_… or rk_live_…), or VEZA_ENVIRONMENT=sandbox.",
        lambda config: not config.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")),
    ),
    Rule(
        "E023",
        "A sandbox key of Hyperswitch in the live environment: buyers would pay with test money.",
        "Set HYPERSWITCH_API_KEY to the production key, or VEZA_ENVIRONMENT=sandbox.",
        lambda config: config.HYPERSWITCH_API_KEY.startswith(("snd_", "dev_", "pk_")),
    ),
    Rule(
        "E024",
        "A sandbox server in the live environment: no money would move.",
        "Set HYPERSWITCH_BASE_URL=https://api.hyperswitch.io (or your own production server) and "
        "STRIPE_BASE_URL=https://api.stripe.com, or VEZA_ENVIRONMENT=sandbox.",
        lambda config: _named_sandbox(config.HYPERSWITCH_BASE_URL) or _named_sandbox(config.STRIPE_BASE_URL),
    ),
)


def rules_for(environment: str) -> tuple[Rule, ...]:
    """The rules of an environment. Development may lack any setting, and may have no live key."""
    match environment:
        case "development":
            return ALWAYS + NOT_LIVE
        case "sandbox":
            return ALWAYS + IN_PRODUCTION + NOT_LIVE
        case "live":
            return ALWAYS + IN_PRODUCTION + LIVE
        case _:
            return (
                Rule(
                    "E001",
                    "VEZA_ENVIRONMENT is not one of the three environments.",
                    f"Set VEZA_ENVIRONMENT to one of {', '.join(ENVIRONMENTS)}.",
                    lambda _config: True,
                ),
            )


def broken_by(config: Any) -> list[Rule]:
    """The rules that these settings break."""
    return [rule for rule in rules_for(config.VEZA_ENVIRONMENT) if rule.is_broken(config)]


def broken_rules(**_options: object) -> list[checks.CheckMessage]:
    """Our rules as Django's check messages. No message contains a setting's value."""
    return [checks.Error(rule.message, hint=rule.hint, id=f"veza.{rule.code}") for rule in broken_by(settings)]


def measured() -> list[Rule]:
    """The rules that the database breaks as this process finds it; none of them while it cannot be reached."""
    if settings.VEZA_ENVIRONMENT not in PRODUCTION:
        return []
    try:
        rights, timeouts = excessive_rights(connection), missing_timeouts(connection)
    except OperationalError:
        return []  # The process starts, answers 503, and its status says why.
    finally:
        connection.close()
    rules = []
    if rights:
        rules.append(
            Rule(
                "E036",
                f"The role of DATABASE_URL may do more than the application should. {' '.join(rights)}",
                "Let another role own the tables: set DATABASE_OWNER_URL for migrate (docs/production.md).",
                lambda _config: True,
            )
        )
    if timeouts:
        rules.append(
            Rule(
                "E037",
                f"Not in force on a connection to the database: {', '.join(timeouts)}.",
                "Run as the owner, for the role of DATABASE_URL: ALTER ROLE … SET statement_timeout = '15s'; ALTER "
                "ROLE … SET lock_timeout = '3s'; ALTER ROLE … SET idle_in_transaction_session_timeout = '30s'.",
                lambda _config: True,
            )
        )
    return rules


def stop_if_broken() -> None:
    """Exit with the broken rules on standard error, if there are any. Called once at each process's start."""
    rules = broken_by(settings) or measured()
    if not rules:
        return
    lines = [f"  veza.{rule.code}  {rule.message}\n             {rule.hint}" for rule in rules]
    print("Veza does not start until this is fixed:", *lines, sep="\n", file=sys.stderr, flush=True)  # noqa: T201
    raise SystemExit(WORKER_FAILED_TO_BOOT)
