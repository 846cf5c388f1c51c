"""Support sees what was sent to whom, can send it again, and can preview every message."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext

from tests.backoffice.conftest import browser, staff
from tests.buying import order_of, paid
from tests.dead_ends.reviews import ENDS
from tests.factories import OfferFactory
from veza.backoffice.digest import write_digest
from veza.backoffice.review_labels import LABELS
from veza.backoffice.timeline import timeline_of
from veza.core.causes import Cause
from veza.core.email.messages import all_messages
from veza.core.email.outbox import resend
from veza.core.email.sending import send_due
from veza.core.ids import new_id
from veza.core.models import Email, ReviewItem
from veza.core.words import format_status

pytestmark = pytest.mark.django_db


@pytest.fixture
def receipt(sandbox) -> Email:
    order = paid(order_of(OfferFactory()))
    send_due()
    return Email.objects.get(subject_id=order.pk, message="order_receipt")


def page(name: str, *arguments, group: str = "support"):
    return browser(staff(group)).get(reverse(f"admin:{name}", args=arguments))


def test_the_orders_page_shows_what_was_sent_to_whom(receipt):
    answer = page("marketplace_order_change", receipt.correlation_id)

    text = answer.content.decode()
    assert f"“{receipt.subject_line}” was sent to {receipt.address}" in text
    assert reverse("admin:core_email_change", args=[receipt.pk]) in text


def test_an_emails_page_shows_its_text_and_its_html_in_a_frame(receipt):
    answer = page("core_email_change", receipt.pk)
    frame = browser(staff("auditor")).get(reverse("admin:core_email_html", args=[receipt.pk]))

    assert "Thank you for your purchase" in answer.content.decode()
    assert frame.content.decode() == receipt.html
    assert "sandbox" in frame["Content-Security-Policy"]
    assert (frame["X-Frame-Options"], "script" in frame["Content-Security-Policy"]) == ("SAMEORIGIN", False)


def test_a_copy_is_one_new_row_that_says_it_is_a_copy(receipt):
    address = reverse("admin:core_email_action", args=[receipt.pk, "resend-email"])
    form = {
        "reason": "It went to spam.",
        "confirm": "yes",
        "submission_id": str(new_id()),
        f"version_{receipt.pk}": "sent",
    }
    support = browser(staff("support"))
    for _ in range(2):
        support.post(address, form)
    send_due()

    copy = receipt.copies.get()
    assert (copy.status, copy.subject_line, copy.text) == ("sent", f"Copy: {receipt.subject_line}", receipt.text)
    assert "It went to spam" in str([line.text for line in timeline_of(receipt.correlation_id)])


def test_a_copy_that_is_asked_for_again_under_its_id_is_the_first(receipt):
    copy_id, cause = new_id(), Cause("staff", actor="support@example.com", reason="spam")

    copies = [resend(email_id=receipt.pk, copy_id=copy_id, cause=cause) for _ in range(2)]

    assert copies[0] == copies[1]


@pytest.mark.parametrize(("group", "may"), [("support", True), ("ops", True), ("finance", False), ("auditor", False)])
def test_who_may_resend(receipt, group, may):
    assert (b"Resend e-mail" in page("core_email_change", receipt.pk, group=group).content) == may


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_message_can_be_previewed(language):
    client = browser(staff("auditor"))
    overview = client.get(reverse("admin:core_email_messages")).content.decode()

    for message in all_messages():
        address = reverse("admin:core_email_preview", args=[message.name, language])
        assert address in overview
        assert client.get(address).status_code == 200


def test_a_preview_of_no_message_is_not_found():
    assert page("core_email_preview", "no-such-message", "en").status_code == 404


def test_an_email_that_was_dropped_is_in_the_history_with_its_reason(receipt):
    Email.objects.filter(pk=receipt.pk).update(subject_line="")
    Email.objects.create(
        message="order_unpaid",
        recipient=receipt.recipient,
        subject="marketplace.order",
        subject_id=receipt.subject_id,
        correlation_id=receipt.correlation_id,
        occasion="failed",
    )
    send_due()

    lines = [line.text for line in timeline_of(receipt.correlation_id) if line.kind == "email"]
    assert any("was not sent: The order was paid after all." in line for line in lines)


def test_the_digest_is_written_once_a_day_while_items_are_open(settings):
    settings.REVIEW_DIGEST_ADDRESS = "finance@example.com"
    at = timezone.now()
    assert not write_digest(at=at)
    for kind, amount in (("small", 1_00), ("large", 300_00)):
        ReviewItem.objects.create(
            kind=kind,
            subject="x",
            subject_id=staff("support", email=f"{kind}@x.example").pk,
            amount_minor=amount,
            currency="EUR",
            why="",
            what_to_do="",
        )
    for _ in range(2):
        write_digest(at=at)
    write_digest(at=at + timedelta(days=1))
    send_due()

    first, _second = Email.objects.filter(address="finance@example.com").order_by("pk")
    assert first.subject_line == "2 items need review"
    assert first.text.index("Large") < first.text.index("Small") < first.text.index("In doubt: €301.00")


def test_a_digest_of_items_that_were_closed_meanwhile_is_dropped(settings):
    settings.REVIEW_DIGEST_ADDRESS = "finance@example.com"
    ReviewItem.objects.create(kind="k", subject="x", subject_id=staff("ops").pk, why="", what_to_do="")
    write_digest(at=timezone.now())
    ReviewItem.objects.update(closed_at=timezone.now())
    send_due()

    assert Email.objects.get().status == "dropped"


def test_the_digest_is_in_the_language_of_its_group(settings):
    settings.REVIEW_DIGEST_ADDRESS, settings.REVIEW_DIGEST_LANGUAGE = "finance@example.com", "fr"
    ReviewItem.objects.create(kind="refund_returned", subject="x", subject_id=staff("ops").pk, why="", what_to_do="")
    write_digest(at=timezone.now())
    send_due()

    assert "Remboursement renvoyé" in Email.objects.get().text


def test_every_kind_of_review_item_has_a_label_in_each_language():
    assert set(LABELS) == {format_status(kind).capitalize() for kind in ENDS}
    with translation.override("fr"):
        assert [label for label in LABELS if gettext(label) == label] == []
