"""The link in an e-mail on which a subscriber pays an unpaid renewal, without logging in."""

from uuid import UUID

from django.utils import timezone

from payments.api.payment_link import PaymentLinkPage
from subscriptions.completion import request_completion
from subscriptions.messages.renewals import PAYMENT_LINK
from subscriptions.models import Subscription
from veza.core.causes import Cause
from veza.core.ids import new_id


class PaymentLink(PaymentLinkPage[Subscription]):
    signer, template = PAYMENT_LINK, "pay_subscription.html"

    def find(self, key: UUID) -> Subscription | None:
        return Subscription.objects.select_related("plan", "user").filter(pk=key).first()

    def language_of(self, row: Subscription) -> str:
        return row.user.language

    def request_page(self, row: Subscription) -> str:
        cause, at = Cause("user", id=row.user_id), timezone.now()
        checkout = request_completion(
            subscription_id=row.pk, payment_id=new_id(), user_id=row.user_id, cause=cause, at=at
        )
        return checkout.payment_url
