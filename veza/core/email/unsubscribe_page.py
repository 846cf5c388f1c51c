"""The page behind the link to unsubscribe, and the one-click request of mail programs (RFC 8058).

Mail programs open links on their own, so only a POST changes anything.
"""

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from veza.core.email.opt_outs import read_token, unsubscribe
from veza.core.models import User


@method_decorator(csrf_exempt, name="dispatch")  # A mail program has no cookie; the signed token is the proof.
class Unsubscribe(View):
    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return _page(request, token, is_done=False)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        if target := read_token(token):
            unsubscribe(*target)
        return _page(request, token, is_done=True)


def _page(request: HttpRequest, token: str, *, is_done: bool) -> HttpResponse:
    target = read_token(token)
    user = User.objects.filter(pk=target[0]).first() if target else None
    with translation.override(user.language if user else None):
        context = {"email": user.email if user else "", "is_done": is_done}
        return TemplateResponse(request, "unsubscribe.html", context, status=200 if user else 404).render()
