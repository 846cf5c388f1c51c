"""An action: its permission, its preview, that it happens once, and the record it leaves."""

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from connect.admin_actions import RetryReversal
from connect.models import SellerTransfer
from connect.reversals.reversal_requests import retry
from marketplace.models import License, Order
from payments.ledger.postings import balances
from payments.models import Dispute, Refund
from payments.reviews.mismatches import accept_received_amount
from subscriptions.models import Plan, SubscriptionInvoice
from subscriptions.subscribing import request_subscription
from tests.backoffice.conftest import browser, staff
from tests.buying import (
    application_of,
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.connect.factories import BY_TEST, completed, refund, to_reverse
from tests.factories import OfferFactory, SellerFactory
from veza.backoffice.models import StaffAction
from veza.backoffice.timeline import timeline_of
from veza.backoffice.verification import faults_of_ledger
from veza.core.ids import new_id
from veza.core.models import ReviewItem, StatusChange
from veza.core.reviews import open_review

pytestmark = pytest.mark.django_db(transaction=True)


def give_up(**fields) -> SellerTransfer:
    """A transfer whose reversal failed and needs review."""
    row = to_reverse(**fields)
    SellerTransfer.objects.filter(pk=row.pk).delete()
    fields = {field.attname: getattr(row, field.attname) for field in SellerTransfer._meta.concrete_fields}
    return SellerTransfer.objects.create(**fields | {"status": "permanently_failed", "last_error": "No such transfer."})


def address(row, act: str) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_action", args=[row.pk, act])


def answer(row, **payload) -> dict[str, str]:
    """What the confirmation page sends back."""
    page = admin.site._registry[type(row)]
    snapshot = page.row_actions[0].version_of(row) if page.row_actions else row.status
    return {
        "reason": "The bank said so.",
        "confirm": "yes",
        "submission_id": str(new_id()),
        f"version_{row.pk}": snapshot,
        **payload,
    }


def test_the_button_first_shows_what_will_happen_and_does_nothing():
    transfer = give_up(amount_minor=45_00)

    page = browser(staff("finance")).post(address(transfer, "retry-reversal"))

    transfer.refresh_from_db()
    assert f"reverse 45.00 EUR from {transfer.seller.email}" in page.content.decode()
    assert transfer.status == "permanently_failed"


def test_nothing_is_done_without_a_reason():
    transfer = give_up()

    page = browser(staff("finance")).post(address(transfer, "retry-reversal"), answer(transfer, reason=" "))

    transfer.refresh_from_db()
    assert "This field is required." in page.content.decode()
    assert transfer.status == "permanently_failed"


def test_confirmed_it_happens_and_the_timeline_says_who_and_why():
    transfer = give_up()

    browser(staff("finance")).post(address(transfer, "retry-reversal"), answer(transfer))

    transfer.refresh_from_db()
    pages = " ".join(line.text for line in timeline_of(transfer.order_id))
    assert transfer.status == "reversal_pending"
    assert "finance@staff.example performed “Retry reversal”; reason: The bank said so." in pages
    assert StatusChange.objects.get(to_status="reversal_pending").actor == "finance@staff.example"


def test_pressing_twice_does_it_once_and_says_who_was_first():
    transfer = give_up()
    client, payload = browser(staff("finance")), answer(transfer)
    client.post(address(transfer, "retry-reversal"), payload)

    page = client.post(address(transfer, "retry-reversal"), payload, follow=True)

    assert "Already done by finance@staff.example on" in page.content.decode()
    assert StaffAction.objects.count() == 1


def test_a_colleague_or_a_worker_who_was_faster_is_named():
    transfer = give_up()
    payload = answer(transfer)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    page = browser(staff("finance")).post(address(transfer, "retry-reversal"), payload, follow=True)

    assert "Already done by a test on" in page.content.decode()


def test_a_selection_is_one_table_of_results_each_row_by_itself():
    first, second = give_up(), give_up()
    payload = answer(first) | {"row": [str(first.pk), str(second.pk)]}
    retry(transfer_id=second.pk, cause=BY_TEST)
    payload[f"version_{second.pk}"] = "permanently_failed"

    page = browser(staff("finance")).post(
        reverse("admin:connect_sellertransfer_selection_action", args=["retry-reversal"]), payload
    )

    first.refresh_from_db()
    assert first.status == "reversal_pending"
    assert "Already done by a test on" in page.content.decode()


def test_the_list_asks_before_a_selection_is_touched():
    transfer = give_up()
    payload = {"action": "retry-reversal", "_selected_action": [str(transfer.pk)], "index": "0"}

    page = browser(staff("finance")).post(reverse("admin:connect_sellertransfer_changelist"), payload)

    assert f'name="row" value="{transfer.pk}"' in page.content.decode()


def test_support_refunds_an_item_and_sees_beforehand_whose_money_it_is(sandbox):
    order = order_of(OfferFactory(price_minor=10_00), OfferFactory(price_minor=5_00))
    sandbox.pay(payment_of(order).provider_key)
    paid(order)
    item = order.items.get(net_minor=5_00)
    client, payload = browser(staff("support")), answer(order, scope="selected", items=[str(item.pk)])

    looking = {name: value for name, value in payload.items() if name != "confirm"}
    preview = client.post(address(order, "refund-for-buyer"), looking)
    client.post(address(order, "refund-for-buyer"), payload)

    assert f"Hyperswitch refunds 6.00 EUR to {order.buyer.email}" in preview.content.decode()
    assert Refund.objects.get().amount_minor == 6_00


def test_an_amount_above_what_is_left_is_refused_in_words(sandbox):
    order = paid(two_sellers_order())

    page = browser(staff("support")).post(
        address(order, "refund-for-buyer"), answer(order, scope="rest", amount="18.01"), follow=True
    )

    assert "Only 18.00 EUR is left to refund." in page.content.decode()
    assert not Refund.objects.exists()


def captured_order(sandbox) -> Order:
    """An order of 12.00 and 6.00 whose money Hyperswitch has."""
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


@pytest.mark.parametrize("chosen", [{}, {"scope": "selected"}, {"scope": "rest", "items": ["first"]}])
def test_a_form_that_chooses_nothing_refunds_nothing(sandbox, chosen):
    order = paid(two_sellers_order())
    items = {"items": [str(order.items.first().pk)]} if "items" in chosen else {}

    browser(staff("support")).post(address(order, "refund-for-buyer"), answer(order, **{**chosen, **items}))

    assert not Refund.objects.exists()


def test_the_preview_says_which_licences_the_buyer_keeps(sandbox):
    order = paid(two_sellers_order())
    cheap = order.items.get(net_minor=5_00)
    client = browser(staff("support"))
    chosen = {"reason": "No.", "scope": "selected", "items": [cheap.pk]}

    kept = client.post(address(order, "refund-for-buyer"), chosen | {"amount": "5.99"}).content.decode()
    revoked = client.post(address(order, "refund-for-buyer"), chosen).content.decode()

    assert f"{cheap.title}: the buyer keeps the personal licence, 0.01 EUR of 6.00 EUR stays paid." in kept
    assert f"{cheap.title}: the personal licence is revoked" in revoked


def test_the_preview_of_an_amount_of_the_order_names_every_licence(sandbox):
    order = paid(two_sellers_order())
    deliver_refund(refund_of(order, requested_by=staff("support"), item_ids=[order.items.get(net_minor=5_00).pk]))

    page = browser(staff("support", email="b@staff.example")).post(
        address(order, "refund-for-buyer"), {"reason": "No.", "scope": "rest", "amount": "2.00"}
    )

    dear, cheap = order.items.order_by("-net_minor")
    assert f"{dear.title}: the buyer keeps the personal licence, 10.00 EUR of 12.00" in page.content.decode()
    assert f"{cheap.title}: the" not in page.content.decode()


def test_the_preview_of_a_decision_says_which_licence_goes(sandbox, settings):
    application = applied(settings, sandbox)

    page = browser(staff("support")).post(address(application, "grant-refund"), {"reason": "It does not open."})

    title = application.lines.get().item.title
    assert f"{title}: the personal licence is revoked, nothing of its price is left." in page.content.decode()


def test_another_refund_is_offered_while_one_is_pending(sandbox):
    order = captured_order(sandbox)
    refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk])
    order.refresh_from_db()

    browser(staff("support")).post(address(order, "refund-for-buyer"), answer(order, scope="rest"))

    assert list(Refund.objects.order_by("pk").values_list("amount_minor", flat=True)) == [12_00, 6_00]


@pytest.mark.parametrize(("status", "sentence"), [("failed", "failed (54 No.)"), ("bounced", "returned by the buyer")])
def test_an_orders_page_begins_with_a_refund_that_did_not_arrive(sandbox, status, sentence):
    order = captured_order(sandbox)
    refund = refund_of(order)
    if status == "bounced":
        deliver_refund(refund)
    deliver_refund(refund, status="failed", error_code="54", error_message="No.")

    page = browser(staff("support")).get(reverse("admin:marketplace_order_change", args=[order.pk])).content.decode()

    assert "The newest refund, of 18.00 EUR," in page
    assert sentence in page
    assert page.index("The newest refund") < page.index('aria-label="Facts"')


def applied(settings, sandbox):
    """An application for a refund of 12.00."""
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    first = captured_order(sandbox)
    deliver_refund(refund_of(first))
    second = paid(order_of(OfferFactory(), buyer=first.buyer))
    sandbox.pay(payment_of(second).provider_key)
    return application_of(second)


def test_support_grants_a_requested_refund_on_its_page(sandbox, settings):
    application = applied(settings, sandbox)
    client = browser(staff("support"))

    page = client.get(reverse("admin:marketplace_refundapplication_change", args=[application.pk])).content.decode()
    preview = client.post(address(application, "grant-refund")).content.decode()
    client.post(address(application, "grant-refund"), answer(application))

    assert "It does not open." in page
    assert "Hyperswitch refunds 12.00 EUR" in preview
    assert Refund.objects.get(pk=application.pk).source == "support"


def test_support_declines_a_requested_refund_with_a_reason(sandbox, settings):
    application = applied(settings, sandbox)

    browser(staff("support")).post(address(application, "decline-refund"), answer(application))

    application.refresh_from_db()
    assert (application.status, application.decision_reason) == ("declined", "The bank said so.")
    assert application.decided_by == "support@staff.example"


def test_an_orders_page_begins_with_what_its_buyer_requests(sandbox, settings):
    application = applied(settings, sandbox)

    page = browser(staff("support")).get(reverse("admin:marketplace_order_change", args=[application.order_id]))

    assert "The buyer requests a refund of 12.00 EUR: support grants or declines it by" in page.content.decode()


def test_asking_the_provider_settles_a_refund_whose_webhook_was_lost(sandbox):
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    paid(order)
    client = browser(staff("support"))
    client.post(address(order, "refund-for-buyer"), answer(order, scope="rest"))
    order.refresh_from_db()
    params = Refund.objects.get()
    sandbox.control(f"refunds/{params.provider_key}", status="succeeded", silent=True)

    client.post(address(order, "refresh-order"), answer(order))

    order.refresh_from_db()
    assert order.status == "refunded"


def test_an_unpaid_order_is_cancelled_at_the_provider_too(sandbox):
    order = order_of(OfferFactory())

    browser(staff("support")).post(address(order, "cancel-order"), answer(order))

    order.refresh_from_db()
    assert order.status == "cancelled"


def test_a_payment_of_too_much_is_accepted_and_the_surplus_goes_back(sandbox):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    deliver_payment(payment, amount_received=payment.amount_minor + 500)
    payment.refresh_from_db()

    browser(staff("finance")).post(address(payment, "accept-received-amount"), answer(payment))

    order.refresh_from_db()
    assert order.status == "completed"
    assert Refund.objects.get().amount_minor == 500


def test_a_delivery_is_handled_again(sandbox):
    deliver(envelope("refund_succeeded", {"refund_id": "ref_" + "0" * 26, "status": "succeeded"}))
    page = admin.site._registry
    delivery = next(model for model in page if model.__name__ == "WebhookDelivery").objects.get()

    browser(staff("ops")).post(address(delivery, "replay-webhook"), answer(delivery))

    assert StaffAction.objects.get().outcome == "done"


def test_a_case_is_closed_with_a_note_that_the_timeline_repeats():
    transfer = give_up()
    open_review("look", transfer, why="Look at this.", what_to_do="Do that.")
    case = ReviewItem.objects.get()

    browser(staff("support")).post(address(case, "close-review-item"), answer(case, reason="Talked to Stripe."))

    case.refresh_from_db()
    assert (case.closed_by, case.note) == ("support@staff.example", "Talked to Stripe.")
    assert "closed the review item (look): Talked to Stripe." in timeline_of(transfer.order_id)[-1].text


def test_the_page_of_a_row_has_a_button_for_each_available_action():
    open_review("look", give_up(), why="Look at this.", what_to_do="Do that.")
    item, client = ReviewItem.objects.get(), browser(staff("support"))
    page = reverse("admin:core_reviewitem_change", args=[item.pk])
    button = f'action="{address(item, "close-review-item")}"'
    assert button in client.get(page).content.decode()

    client.post(address(item, "close-review-item"), answer(item))

    assert button not in client.get(page).content.decode()


def test_an_unexpected_error_is_one_result_and_names_the_request(monkeypatch):
    transfer = give_up()
    monkeypatch.setattr(RetryReversal, "perform", lambda *_arguments, **_options: 1 / 0)

    page = browser(staff("finance")).post(
        address(transfer, "retry-reversal"), answer(transfer), follow=True, headers={"x-request-id": "abc-1"}
    )

    assert "Unexpected error; request id abc-1." in page.content.decode()
    assert StaffAction.objects.get().outcome == "failed"


def test_maintenance_is_turned_on_with_a_message_and_off_again(client):
    ops = browser(staff("ops"))
    switch = reverse("admin:core_platformsetting_action", args=["maintenance", "start-maintenance"])
    back = reverse("admin:core_platformsetting_action", args=["maintenance", "end-maintenance"])

    ops.get(reverse("admin:core_platformsetting_changelist"))
    ops.post(
        switch, {"reason": "New disks.", "message": "Back at six.", "confirm": "yes", "version_maintenance": "False"}
    )
    during = client.get("/api/v1/marketplace/products")
    ops.post(back, {"reason": "Done.", "confirm": "yes", "version_maintenance": "True"})

    assert (during.status_code, during.json()["detail"]) == (503, "Back at six.")
    assert client.get("/api/v1/marketplace/products").status_code != 503


def test_an_external_refund_is_imported_and_marked_as_expected(sandbox):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    sandbox.pay(payment.provider_key)
    paid(order)
    remote_refund = sandbox.control("dashboard_refunds", payment_id=payment.provider_key, amount=2_00, silent=True)
    payment.refresh_from_db()
    finance = browser(staff("finance"))

    finance.post(
        address(payment, "import-external-refund"), answer(payment, hyperswitch_refund_id=remote_refund["refund_id"])
    )
    refund = Refund.objects.get(source="external")
    finance.post(address(refund, "mark-refund-expected"), answer(refund, reason="It was us."))

    assert refund.amount_minor == 2_00
    assert ReviewItem.objects.get(subject_id=refund.pk).note == "It was us."


def test_what_is_known_already_is_told_in_words(sandbox):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    sandbox.pay(payment.provider_key)
    paid(order)
    remote_refund = sandbox.control("dashboard_refunds", payment_id=payment.provider_key, amount=2_00, silent=True)
    payment.refresh_from_db()
    finance = browser(staff("finance"))

    pages = [
        finance.post(
            address(payment, "import-external-refund"),
            answer(payment, hyperswitch_refund_id=remote_refund["refund_id"]),
            follow=True,
        ).content.decode()
        for _ in range(2)
    ]

    assert "Imported." in pages[0]
    assert "No change." in pages[1]


def test_refreshing_an_unsent_refund_says_first_that_it_moves_money(sandbox):
    payment = payment_of(order_of(OfferFactory()))
    deliver_payment(payment, amount_received=payment.amount_minor + 500)
    accept_received_amount(payment_id=payment.pk, cause=BY_TEST)
    refund = Refund.objects.get()

    page = browser(staff("finance")).post(address(refund, "refresh-refund"))

    assert "It is sent now: 5.00 EUR goes back to the buyer." in page.content.decode()
    assert "moves no money" not in page.content.decode()


def test_a_refund_that_the_provider_does_not_show_is_not_taken_in(sandbox):
    payment = payment_of(paid(order_of(OfferFactory())))

    page = browser(staff("finance")).post(
        address(payment, "import-external-refund"), answer(payment, hyperswitch_refund_id="ref_unknown"), follow=True
    )

    assert "Hyperswitch does not return a refund with that id now." in page.content.decode()


def subscription_of(*, paid_for: bool):
    """A seller's subscription to a plan that costs something."""
    plan = Plan.objects.create(name="Pro", price_minor=19_00, currency="EUR", can_sell_on_marketplace=True)
    offer = request_subscription(
        subscription_id=new_id(), user=SellerFactory(), plan_id=plan.pk, cause=BY_TEST, at=timezone.now()
    )
    if paid_for:
        assert deliver_payment(offer.payment).status_code == 200
    offer.subscription.refresh_from_db()
    return offer.subscription


def test_support_gets_the_payment_link_of_a_subscription(sandbox):
    row = subscription_of(paid_for=False)

    page = browser(staff("support")).post(address(row, "get-payment-link"), answer(row), follow=True)

    assert "Payment link: http" in page.content.decode()


def test_a_subscription_is_ended_now(sandbox):
    row = subscription_of(paid_for=True)

    browser(staff("support")).post(address(row, "cancel-subscription-now"), answer(row))

    row.refresh_from_db()
    assert row.status == "cancelled"


def test_what_nobody_paid_for_is_expired_and_what_is_paid_is_not_offered(sandbox):
    row = subscription_of(paid_for=True)
    client, payload = browser(staff("support")), answer(row)
    client.post(address(row, "expire-unpaid-subscription"), payload)
    row.refresh_from_db()
    assert row.status == "active"
    SubscriptionInvoice.objects.filter(subscription=row).update(hyperswitch_payment_id=None)

    client.post(address(row, "expire-unpaid-subscription"), answer(row))

    row.refresh_from_db()
    assert row.status == "expired"


def test_an_invoice_is_refunded_in_part(sandbox):
    invoice = subscription_of(paid_for=True).invoices.get()

    browser(staff("finance")).post(address(invoice, "refund-invoice"), answer(invoice, amount="5"))

    assert Refund.objects.get().amount_minor == 5_00


def test_a_sellers_page_tells_what_they_were_paid(sandbox):
    transfer = completed()
    refund(transfer.order, transfer.seller, 9_00)

    page = browser(staff("support")).get(f"/admin/core/user/{transfer.seller_id}/change/").content.decode()

    assert f"Booked 9.00 EUR from {transfer.seller.email} to Hyperswitch" in page
    assert str(transfer.pk)[-8:] in page


def test_finance_writes_a_sellers_debt_off():
    transfer = give_up(amount_minor=45_00)

    page = browser(staff("finance")).post(
        address(transfer, "write-off-debt"), answer(transfer, **{f"version_{transfer.pk}": "permanently_failed 4500"})
    )

    transfer.refresh_from_db()
    assert page.status_code == 302
    assert (transfer.status, transfer.written_off_minor) == ("completed", 45_00)


def test_finance_writes_off_what_a_bank_took_beyond_the_payment(sandbox):
    deliver_dispute(payment_of(paid(order_of(OfferFactory(price_minor=10_00)))), "lost", amount_minor=50_00)
    dispute = Dispute.objects.get()

    browser(staff("finance")).post(address(dispute, "write-off-shortfall"), answer(dispute))

    assert ReviewItem.objects.get(kind="dispute_exceeds_payment").closed_by == "finance@staff.example"


def test_late_money_that_was_not_returned_is_sent_back_again(sandbox):
    payment = payment_of(order_of(OfferFactory()))
    deliver_payment(payment, amount_received=payment.amount_minor + 500)
    accept_received_amount(payment_id=payment.pk, cause=BY_TEST)
    deliver_refund(Refund.objects.get(), status="failed")
    payment.refresh_from_db()
    client, payload = browser(staff("finance")), answer(payment)

    looking = {name: value for name, value in payload.items() if name != "confirm"}
    preview = client.post(address(payment, "retry-return-of-funds"), looking)
    for _ in range(2):
        client.post(address(payment, "retry-return-of-funds"), payload)

    assert "5.00 EUR of unapplied funds is returned to the buyer" in preview.content.decode()
    assert list(Refund.objects.order_by("pk").values_list("amount_minor", "status")) == [
        (500, "failed"),
        (500, "pending"),
    ]


def test_finance_enters_the_amount_of_a_dispute_in_another_currency(sandbox):
    order = paid(order_of(OfferFactory()))
    deliver_dispute(payment_of(order), "lost", amount_minor=19_50, currency="USD")
    dispute = Dispute.objects.get()
    payload = {"amount": "12.00", f"version_{dispute.pk}": "lost 1950 USD None"}
    client, url = browser(staff("finance")), address(dispute, "enter-converted-amount")

    page = client.post(url, {"amount": "12.00"})
    client.post(url, answer(dispute, **payload))

    order.refresh_from_db()
    assert "19.50 USD was taken of a payment of 12.00 EUR" in page.content.decode()
    assert (order.status, payment_of(order).disputed_minor) == ("refunded", 12_00)


def standing(order) -> tuple:
    """What a foreign dispute has done to an order: its status, licences, transfers, and what needs review."""
    order.refresh_from_db()
    licenses = set(License.objects.values_list("status", flat=True))
    reviews = set(ReviewItem.objects.filter(closed_at=None).values_list("kind", flat=True))
    return order.status, licenses, set(order.transfers.values_list("status", flat=True)), reviews


def test_a_foreign_dispute_is_converted_while_open_and_then_lost(sandbox):
    order = paid(two_sellers_order())
    deliver_dispute(payment_of(order), "opened", amount_minor=19_50, currency="USD")
    assert standing(order) == ("completed", {"suspended"}, {"pending"}, {"amount_in_doubt", "dispute_to_answer"})

    dispute = Dispute.objects.get()
    payload = {"amount": "18.00", f"version_{dispute.pk}": "opened 1950 USD None"}
    browser(staff("finance")).post(address(dispute, "enter-converted-amount"), answer(dispute, **payload))
    assert standing(order) == ("completed", {"suspended"}, {"pending"}, {"dispute_to_answer"})
    assert {key: amount for key, amount in balances().items() if amount} == {
        ("psp_clearing", "EUR"): -18_00,
        ("dispute_suspense", "EUR"): 18_00,
    }

    deliver_dispute(payment_of(order), "lost", amount_minor=19_50, currency="USD")
    assert standing(order) == ("refunded", {"revoked"}, {"cancelled"}, set())
    assert not any(balances().values())
    assert list(faults_of_ledger()) == []


@pytest.mark.parametrize("amount", ["0", "-1", "12.001", "1e30", "NaN", ""])
def test_an_amount_that_is_none_is_not_booked(sandbox, amount):
    deliver_dispute(payment_of(paid(order_of(OfferFactory()))), "lost", amount_minor=19_50, currency="USD")
    dispute = Dispute.objects.get()
    payload = {"amount": amount, f"version_{dispute.pk}": "lost 1950 USD None"}

    page = browser(staff("finance")).post(address(dispute, "enter-converted-amount"), answer(dispute, **payload))

    dispute.refresh_from_db()
    assert (page.status_code, dispute.converted_minor) == (200, None)
