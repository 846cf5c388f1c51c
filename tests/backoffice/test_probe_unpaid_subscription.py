"""The probe against a running Veza: no attempt gets through, and a vulnerability is reported."""

import json
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from probe.unpaid_attempts import ATTEMPTS
from subscriptions import access
from subscriptions.access import EffectivePayment
from subscriptions.models import DistributionSubmission, Subscription
from tests.buying import envelope, payment_object, signed
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import PlanFactory, activate, free_plan, last_payment
from veza.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a long enough password"


@pytest.fixture
def veza(sandbox, live_server, monkeypatch) -> str:
    """A running Veza with three plans and the sandbox behind it, as in the demo."""
    cache.clear()
    free_plan(name="Listener", can_sell_on_marketplace=False, can_distribute=False)
    PlanFactory(name="Creator", price_minor=9_90, trial_days=14)
    PlanFactory(name="Studio", price_minor=29_00)
    prober = User.objects.create_user("probe@example.com", PASSWORD)
    monkeypatch.setenv("PROBE_PASSWORD", PASSWORD)
    monkeypatch.setenv("PROBE_EMAIL", prober.email)
    return str(live_server.url)


def probe(base_url: str, *options: str) -> dict:
    out = StringIO()
    try:
        arguments = ["--base-url", base_url, "--email", "probe@example.com", "--json", *options]
        call_command("probe_unpaid_subscription", *arguments, stdout=out)
    finally:
        probe.output = out.getvalue()
    return json.loads(probe.output)


def test_no_attempt_gets_through_and_nothing_is_left_over(veza):
    report = probe(veza, "--destructive")

    assert (len(report["attempts"]), report["got_through"]) == (len(ATTEMPTS), {})
    assert set(Subscription.objects.values_list("status", flat=True)) <= {"cancelled", "expired"}
    assert DistributionSubmission.objects.count() == 0


def test_a_dry_run_lists_what_it_would_do_and_does_nothing(veza):
    report = probe(veza)

    assert (report["dry_run"], len(report["attempts"])) == (True, len(ATTEMPTS))
    assert Subscription.objects.count() == 0


def test_a_replayed_delivery_of_another_account_grants_nothing(veza, sandbox, tmp_path):
    other = activate(sandbox, user=PersonFactory())
    body = envelope("payment_succeeded", payment_object(last_payment(other)))
    (tmp_path / "captured.json").write_text(json.dumps({"body": body.decode(), "signature": signed(body)}))

    report = probe(veza, "--destructive", "--captured", str(tmp_path / "captured.json"))

    assert report["got_through"] == {}


def test_trust_in_the_status_alone_is_reported(veza, monkeypatch):
    def trust_status(subscription, *, at):
        return EffectivePayment(subscription, subscription.plan, None)

    monkeypatch.setattr(access, "effective_payment", trust_status)
    monkeypatch.setattr(access, "ENTITLING", ("pending_payment", "trialing", "active"))

    with pytest.raises(CommandError) as error:
        probe(veza, "--destructive")

    assert error.value.returncode == 1
    assert "POST /marketplace/products" in json.loads(probe.output)["got_through"]["subscribe_and_use"]


def test_a_missing_signature_check_is_reported(veza, monkeypatch):
    monkeypatch.setattr("payments.api.webhook.is_signed_by_hyperswitch", lambda *args, **kwargs: True)

    with pytest.raises(CommandError) as error:
        probe(veza, "--destructive")

    assert error.value.returncode == 1
    assert {"forge_webhook", "replay_webhook"} <= set(json.loads(probe.output)["got_through"])


def test_an_unreachable_veza_is_not_reported_as_safe():
    with pytest.raises(CommandError, match="no answer") as error:
        probe("http://127.0.0.1:9")

    assert error.value.returncode == 2


def test_an_account_with_a_paid_plan_is_refused(veza, sandbox):
    activate(sandbox, user=User.objects.get(email="probe@example.com"), at=timezone.now())

    with pytest.raises(CommandError, match="another account"):
        probe(veza, "--destructive")
