"""The link in an e-mail on which a subscriber pays an unpaid renewal, without logging in.

Mail programs open links on their own, so opening it changes nothing: the button requests the payment page.
"""

from datetime import timedelta
from typing import cast
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from rest_framework.request import Request
from rest_framework.views import APIView

from subscriptions.completion import request_completion
from subscriptions.messages.renewals import PAYMENT_LINK
from subscriptions.models import Subscription
from veza.core.api.middleware import csp_override
from veza.core.api.throttles import MovingMoney
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id

VALID_FOR = timedelta(days=60)
# The button leads to the payment page: browsers apply the policy of a form to where it redirects.
_POLICY = {**settings.SECURE_CSP, "form-action": ["'self'", *settings.EMAIL_LINK_ORIGINS]}


@method_decorator(csp_override(_POLICY), name="dispatch")
class PaymentLink(View):
    """`token` is the signed id of a subscription."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        subscription = _read(token)
        with translation.override(subscription.user.language if subscription else None):
            return _page(request, subscription)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        subscription = _read(token)
        if subscription is None:
            return _page(request, None)
        with translation.override(subscription.user.language):
            if not MovingMoney().allow_request(cast("Request", request), cast("APIView", self)):
                return _page(request, subscription, notice=_not_ready(), status=429)
            return _pay(request, subscription)


def _pay(request: HttpRequest, subscription: Subscription) -> HttpResponse:
    cause = Cause("user", id=subscription.user_id)
    try:
        checkout = request_completion(
            subscription_id=subscription.pk,
            payment_id=new_id(),
            user_id=subscription.user_id,
            cause=cause,
            at=timezone.now(),
        )
    except NotAllowed:
        return _page(request, subscription, notice=_("There is nothing to pay now, or a payment is in progress."))
    if checkout.payment_url:
        return HttpResponseRedirect(checkout.payment_url, status=303)
    return _page(request, subscription, notice=_not_ready())


def _not_ready() -> str:
    return _("The payment page is not ready yet. Try again in a minute.")


def _read(token: str) -> Subscription | None:
    try:
        key = UUID(PAYMENT_LINK.unsign(token, max_age=VALID_FOR))
    except (BadSignature, ValueError):
        return None
    return Subscription.objects.select_related("plan", "user").filter(pk=key).first()


def _page(
    request: HttpRequest, subscription: Subscription | None, *, notice: str = "", status: int = 200
) -> HttpResponse:
    context = {"subscription": subscription, "notice": notice}
    return TemplateResponse(request, "pay_subscription.html", context, status=status if subscription else 404).render()
