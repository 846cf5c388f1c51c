"""Fault-matrix row 46: a production with a missing or contradictory setting does not start, and says what to set."""

import os
import re
import runpy
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tests.operators.production import LIVE, ROOT, SANDBOX, run
from veza import checks

PAGE = ROOT / "veza" / "settings.py"
READ = SANDBOX.keys() | {"STRIPE_BASE_URL"}
COMPLETE = {"development": SANDBOX | {"VEZA_ENVIRONMENT": "development"}, "sandbox": SANDBOX, "live": LIVE}
# What an operator gets wrong, where, and which rule says so. None = the setting is not there at all.
MISTAKES = [
    ("sandbox", "DEBUG", "true", "E002"),
    ("live", "DEBUG", "true", "E002"),
    ("sandbox", "SECRET_KEY", None, "E003"),
    ("sandbox", "SECRET_KEY", "", "E003"),
    ("sandbox", "SECRET_KEY", "short", "E003"),
    ("sandbox", "SECRET_KEY", "x" * 64, "E003"),
    ("sandbox", "ALLOWED_HOSTS", None, "E004"),
    ("sandbox", "ALLOWED_HOSTS", "*", "E004"),
    ("sandbox", "ALLOWED_HOSTS", "shop.example.org,localhost", "E004"),
    ("sandbox", "PUBLIC_BASE_URL", None, "E005"),
    ("sandbox", "PUBLIC_BASE_URL", "http://shop.example.org", "E005"),
    ("sandbox", "PUBLIC_BASE_URL", "https://other.example.org", "E006"),
    ("sandbox", "TRUSTED_PROXIES", None, "E007"),
    ("sandbox", "TRUSTED_PROXIES", "-1", "E007"),
    ("sandbox", "DATABASE_URL", None, "E008"),
    ("sandbox", "DATABASE_URL", "sqlite:///veza.sqlite3", "E008"),
    ("sandbox", "REDIS_URL", None, "E009"),
    ("sandbox", "HYPERSWITCH_ENABLED", None, "E010"),
    ("sandbox", "HYPERSWITCH_ENABLED", "false", "E010"),
    ("sandbox", "HYPERSWITCH_API_KEY", "", "E011"),
    ("sandbox", "HYPERSWITCH_WEBHOOK_SECRET", None, "E012"),
    ("sandbox", "HYPERSWITCH_WEBHOOK_SECRET", "", "E012"),
    ("sandbox", "HYPERSWITCH_WEBHOOK_SECRET", "secret", "E012"),
    ("sandbox", "HYPERSWITCH_PROFILE_ID", None, "E013"),
    ("sandbox", "STRIPE_SECRET_KEY", None, "E014"),
    ("sandbox", "STRIPE_WEBHOOK_SECRET", "", "E015"),
    ("sandbox", "HYPERSWITCH_BASE_URL", "http://sandbox.hyperswitch.io", "E016"),
    ("sandbox", "STRIPE_BASE_URL", "http://api.stripe.com", "E016"),
    ("sandbox", "METRICS_TOKEN", "short", "E017"),
    ("sandbox", "SMTP_HOST", None, "E025"),
    ("live", "SMTP_PORT", "0", "E025"),
    ("sandbox", "SMTP_USERNAME", None, "E026"),
    ("live", "SMTP_PASSWORD", "", "E026"),
    ("live", "SMTP_TLS", "false", "E027"),
    ("sandbox", "SMTP_FROM", None, "E028"),
    ("live", "SMTP_FROM", "receipts", "E028"),
    ("live", "SMTP_FROM_NAME", " ", "E028"),
    ("live", "REVIEW_DIGEST_ADDRESS", "finance", "E029"),
    ("live", "EMAIL_LINK_ORIGINS", "http://shop.example.org", "E030"),
    ("development", "CURRENCIES", "EUR,HRK", "E031"),
    ("sandbox", "CURRENCIES", "eur", "E031"),
    ("live", "CURRENCIES", "EUR,SSP", "E031"),
    ("development", "STRIPE_PLATFORM_COUNTRY", "AU", "E034"),
    ("live", "STRIPE_PLATFORM_COUNTRY", "fr", "E034"),
    ("sandbox", "STRIPE_CAPABILITIES", "card_payments", "E035"),
    ("development", "PRICE_CHANGE_NOTICE", "2d", "E033"),
    ("development", "REVIEW_DIGEST_LANGUAGE", "de", "E032"),
    ("sandbox", "STRIPE_SECRET_KEY", "sk_live_0123456789abcdef", "E020"),
    ("development", "STRIPE_SECRET_KEY", "rk_live_0123456789abcdef", "E020"),
    ("sandbox", "HYPERSWITCH_API_KEY", "prd_0123456789abcdef", "E021"),
    ("development", "HYPERSWITCH_BASE_URL", "https://api.hyperswitch.io", "E021"),
    ("live", "STRIPE_SECRET_KEY", "sk_test_0123456789abcdef", "E022"),
    ("live", "STRIPE_SECRET_KEY", "", "E022"),
    ("live", "HYPERSWITCH_API_KEY", "snd_0123456789abcdef", "E023"),
    ("live", "HYPERSWITCH_BASE_URL", None, "E024"),
    ("live", "HYPERSWITCH_BASE_URL", "https://127.0.0.1:8090", "E024"),
    ("live", "STRIPE_BASE_URL", "https://sandbox.example.org", "E024"),
    ("prod", "VEZA_ENVIRONMENT", "prod", "E001"),
]
RULES = {rule.code: rule for place in (*checks.ENVIRONMENTS, "elsewhere") for rule in checks.rules_for(place)}


@pytest.fixture
def broken(monkeypatch):
    """The rules broken by settings that were read from just this environment."""

    def codes(environ: dict[str, str | None]) -> set[str]:
        for name in os.environ.keys() & READ:
            monkeypatch.delenv(name)
        for name, value in environ.items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return {rule.code for rule in checks.broken_by(SimpleNamespace(**runpy.run_path(str(PAGE))))}

    return codes


@pytest.mark.parametrize("place", checks.ENVIRONMENTS)
def test_a_complete_environment_breaks_no_rule(broken, place):
    assert broken(COMPLETE[place]) == set()


def test_development_may_lack_everything(broken):
    assert broken({}) == set()


@pytest.mark.parametrize(("place", "name", "value", "code"), MISTAKES)
def test_a_mistake_is_refused_by_its_rule(broken, place, name, value, code):
    assert code in broken(COMPLETE.get(place, SANDBOX) | {name: value})


def test_every_rule_is_broken_by_one_of_these_mistakes():
    assert {code for *_, code in MISTAKES} == RULES.keys()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_what_to_set(rule):
    assert re.search(r"(Set|Add) [A-Z]{3,}[A-Z_']*", rule.hint)


def test_an_empty_live_environment_hears_all_that_is_missing_at_once(broken):
    assert broken({"VEZA_ENVIRONMENT": "live"}) >= {
        f"E{number:03}" for number in (3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 22, 24, 25, 26, 28)
    }


def test_our_own_settings_are_among_djangos_checks(settings):
    settings.VEZA_ENVIRONMENT = "sandbox"

    with pytest.raises(SystemCheckError, match="Set TRUSTED_PROXIES"):
        call_command("check")


BROKEN = SANDBOX | {"SECRET_KEY": "canary", "STRIPE_SECRET_KEY": "sk_live_canary", "HYPERSWITCH_ENABLED": "false"}
# beat removes a schedule that it cannot read: nothing that anybody needs may stand there.
NEVER_MADE = str(Path(gettempdir()) / "a-schedule-that-is-never-made")
PROCESSES = {
    "web": ("-m", "gunicorn", "veza.wsgi", "--bind", "127.0.0.1:0", "--workers", "2"),
    "worker": ("-m", "celery", "-A", "veza.celery", "worker", "--concurrency", "1"),
    "beat": ("-m", "celery", "-A", "veza.celery", "beat", "--schedule", NEVER_MADE),
    "migrate": ("manage.py", "migrate", "--plan"),
}


@pytest.mark.parametrize("command", PROCESSES.values(), ids=PROCESSES)
def test_each_process_ends_with_the_messages_instead_of_starting(command):
    process = run(*command, environ=BROKEN, seconds=90)

    assert process.returncode != 0
    assert "Set SECRET_KEY" in process.stderr
    assert "Set HYPERSWITCH_ENABLED=true" in process.stderr
    assert "canary" not in process.stderr + process.stdout
