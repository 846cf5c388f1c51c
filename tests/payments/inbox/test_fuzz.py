"""Whatever bytes arrive, the endpoint answers, and never with a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.models import Posting, WebhookDelivery
from payments.webhooks import HANDLERS
from tests.buying import deliver, signed

pytestmark = pytest.mark.django_db
limits = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = [
    "event_id", "event_type", "merchant_id", "content", "object", "type", "payment_id", "refund_id", "dispute_id",
    "status", "dispute_status", "dispute_stage", "amount", "amount_received", "currency", "updated", "updated_at",
    "profile_id", "payment_link", "error_message",
]  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["EUR", "succeeded"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=8),
    max_leaves=20,
)
envelopes = st.fixed_dictionaries(
    {"event_id": st.text(min_size=1), "event_type": st.sampled_from(sorted(HANDLERS)) | st.text()},
    optional={"content": st.fixed_dictionaries({"object": anything}) | anything, "object": anything},
)


@limits
@given(st.binary(max_size=2_000))
def test_any_signed_bytes_are_answered_and_logged(sandbox, raw):
    before = WebhookDelivery.objects.count()

    answer = deliver(b" " + raw)

    assert answer.status_code in (200, 400)
    assert WebhookDelivery.objects.count() == before + 1


@limits
@given(envelopes)
def test_any_signed_event_is_answered_and_books_nothing(sandbox, body):
    answer = deliver(json.dumps(body).encode())

    assert answer.status_code in (200, 400)
    assert not Posting.objects.exists()


@limits
@given(st.binary(max_size=200), st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200))
def test_no_signature_is_accepted_but_the_right_one(sandbox, raw, signature):
    if signature.lower() == signed(b" " + raw):
        return

    assert deliver(b" " + raw, signature=signature).status_code == 401
