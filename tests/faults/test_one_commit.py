"""Effects and log row are one commit: whatever dies between them, there are both or neither."""

import pytest

from payments.inbox import intake as inbox
from payments.models import Posting, WebhookDelivery
from tests.buying import deliver_payment, order_of, payment_of
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Nobody catches it, as nobody catches a SIGKILL."""


def killed(*args, **kwargs):
    raise Killed


def test_killed_between_the_effects_and_the_log_row_there_is_neither(sandbox, monkeypatch):
    payment = payment_of(order_of(OfferFactory()))
    monkeypatch.setattr(inbox, "_log", killed)

    with pytest.raises(Killed):
        deliver_payment(payment)

    payment.refresh_from_db()
    assert (payment.status, Posting.objects.count(), WebhookDelivery.objects.count()) == ("pending", 0, 0)


def test_killed_after_the_commit_the_retry_is_a_duplicate(sandbox, monkeypatch):
    payment = payment_of(order_of(OfferFactory()))
    with monkeypatch.context() as dying:
        dying.setattr("payments.api.webhook._answer", killed)
        with pytest.raises(Killed):
            deliver_payment(payment, event_id="evt_1")
    assert WebhookDelivery.objects.get().processing_result == "ok"

    assert deliver_payment(payment, event_id="evt_1").json() == {"result": "skipped: duplicate"}
    assert Posting.objects.filter(leg="in").count() == 1


def test_a_log_row_that_cannot_be_written_leaves_no_effect(sandbox, monkeypatch):
    payment = payment_of(order_of(OfferFactory()))
    with monkeypatch.context() as broken:
        broken.setattr(inbox, "_log", lambda *args, **fields: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            deliver_payment(payment, event_id="evt_1")
    assert not Posting.objects.exists()

    assert deliver_payment(payment, event_id="evt_1").json() == {"result": "ok"}
