"""A process that is killed with SIGKILL where it hurts: what the database and the provider hold afterwards."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from payments import tasks
from payments.models import Posting, Refund, WebhookDelivery
from payments.reconciliation import refresh as reconcile
from tests.buying import SECRET, deliver, envelope, order_of, paid, payment_object, payment_of, two_sellers_order
from tests.factories import OfferFactory
from tests.operators.production import ROOT, database_url
from tests.sandbox.process import HYPERSWITCH_KEY

pytestmark = pytest.mark.django_db(transaction=True)
# What the process does instead of going on at the chosen point.
DIE = "import os, signal\ndef die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"


def killed(code: str, sandbox) -> bool:
    """Run `code` in a Veza of its own on the test's database; whether the kernel ended it."""
    payload = {
        "ALLOWED_HOSTS": "testserver",
        "DATABASE_URL": database_url(),
        "HYPERSWITCH_API_KEY": HYPERSWITCH_KEY,
        "HYPERSWITCH_BASE_URL": sandbox.url,
        "HYPERSWITCH_ENABLED": "true",
        "HYPERSWITCH_PROFILE_ID": "pro_sandbox",
        "HYPERSWITCH_WEBHOOK_SECRET": SECRET,
    }
    line = [sys.executable, "manage.py", "shell", "-v", "0", "-c", DIE + code]
    ended = subprocess.run(line, cwd=ROOT, env={**os.environ, **payload}, capture_output=True, text=True, timeout=60)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr[-2_000:]
    return ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("point", "booked", "logged", "retried"),
    [
        pytest.param("payments.inbox.intake._log", 0, [], "ok", id="between the effects and the log row"),
        pytest.param("payments.api.webhook._answer", 1, ["ok"], "skipped: duplicate", id="right after the commit"),
    ],
)
def test_a_killed_delivery_leaves_effects_and_log_row_or_neither(sandbox, point, booked, logged, retried):
    raw = envelope("payment_succeeded", payment_object(payment_of(order_of(OfferFactory()))))
    module, _, name = point.rpartition(".")

    assert killed(
        f"import {module}\n{module}.{name} = die\nfrom tests.buying import deliver\ndeliver({raw!r})", sandbox
    )

    assert Posting.objects.filter(leg="in").count() == booked
    assert list(WebhookDelivery.objects.values_list("processing_result", flat=True)) == logged
    assert deliver(raw).json() == {"result": retried}
    assert Posting.objects.filter(leg="in").count() == 1


@pytest.mark.parametrize("sent_by", ["staff", "a sweep"])
def test_a_refund_whose_sender_was_killed_is_paid_once(sandbox, sent_by):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    sending = f"from tests.buying import refund_of\nrefund_of(Order.objects.get(pk='{order.pk}'))"
    assert killed(
        "from payments.refunds import refund_requests as refunds\n"
        "from marketplace.models import Order\nrefunds._record_outcome = die\n" + sending,
        sandbox,
    )
    past = timezone.now() - timedelta(minutes=6)
    again = past if sent_by == "a sweep" else None
    Refund.objects.update(created_at=past, first_sent_at=past, next_attempt_at=past, send_after=again)
    assert not Refund.objects.get().hyperswitch_refund_id

    sandbox.control(f"refunds/{Refund.objects.get().provider_key}", status="succeeded", silent=True)
    tasks.resend()
    Refund.objects.update(next_attempt_at=None)
    reconcile.run(cause=reconcile.by_reconciler())
    Refund.objects.update(created_at=timezone.now() - timedelta(hours=1), next_attempt_at=None)
    reconcile.run(cause=reconcile.by_reconciler())

    given_back = [one for one in sandbox.truth()["movements"] if one["kind"] == "refund"]
    assert [one["amount"] for one in given_back] == [payment_of(order).amount_minor]
    assert Refund.objects.get().status == "succeeded"
    assert payment_of(order).refunded_minor == payment_of(order).amount_minor
