"""The link in an e-mail on which a buyer pays what is unpaid, without logging in.

Mail programs open links on their own, so opening it changes nothing: the button requests the payment page.
"""

from abc import abstractmethod
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from rest_framework.request import Request
from rest_framework.views import APIView

from veza.core.api.middleware import csp_override
from veza.core.api.throttles import MovingMoney
from veza.core.errors import NotAllowed

VALID_FOR = timedelta(days=60)
# The button leads to the payment page: browsers apply the policy of a form to where it redirects.
_POLICY = {**settings.SECURE_CSP, "form-action": ["'self'", *settings.EMAIL_LINK_ORIGINS]}
Row = TypeVar("Row", bound=Model)


@method_decorator(csp_override(_POLICY), name="dispatch")
class PaymentLinkPage(View, Generic[Row]):
    """`token` is the signed id of what is to be paid: `row`, in the template."""

    signer: ClassVar[TimestampSigner]
    template: ClassVar[str]

    @abstractmethod
    def find(self, key: UUID) -> Row | None:
        """What is to be paid, if it exists."""

    @abstractmethod
    def language_of(self, row: Row) -> str:
        """The buyer's language."""

    @abstractmethod
    def request_page(self, row: Row) -> str:
        """The address of its payment page; empty while Hyperswitch has not answered. Raises NotAllowed."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        row = self._read(token)
        with translation.override(self.language_of(row) if row else None):
            return self._page(request, row)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        row = self._read(token)
        if row is None:
            return self._page(request, None)
        with translation.override(self.language_of(row)):
            if not MovingMoney().allow_request(cast("Request", request), cast("APIView", self)):
                return self._page(request, row, notice=_not_ready(), status=429)
            return self._pay(request, row)

    def _pay(self, request: HttpRequest, row: Row) -> HttpResponse:
        try:
            address = self.request_page(row)
        except NotAllowed:
            notice = _("There is nothing to pay now, or a payment is in progress.")
            return self._page(request, row, notice=notice)
        if address:
            return HttpResponseRedirect(address, status=303)
        return self._page(request, row, notice=_not_ready())

    def _read(self, token: str) -> Row | None:
        try:
            return self.find(UUID(self.signer.unsign(token, max_age=VALID_FOR)))
        except (BadSignature, ValueError):
            return None

    def _page(self, request: HttpRequest, row: Row | None, *, notice: str = "", status: int = 200) -> HttpResponse:
        context: dict[str, Any] = {"row": row, "notice": notice}
        return TemplateResponse(request, self.template, context, status=status if row else 404).render()


def _not_ready() -> str:
    return _("The payment page is not ready yet. Try again in a minute.")
