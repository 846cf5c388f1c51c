"""A few views that fail, page and take keys, so that the ground floor is tested without any app above it."""

from typing import ClassVar

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from veza.core.api.idempotency import idempotent
from veza.core.errors import NotAllowed
from veza.core.models import ProviderCall
from veza.core.states import StaleState
from veza.urls import handler400, handler403, handler404, handler500
from veza.urls import urlpatterns as real

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class TooLate(NotAllowed):
    code = "too_late"
    http_status = 409


ERRORS = {
    "not-allowed": TooLate("the window is over"),
    "missing": Http404("No Payment matches the given query."),
    "denied": PermissionDenied("secret reason"),
    "throttled": Throttled(wait=6.5),
    "stale": StaleState("1 of 1 refunds left pending first"),
    "database": OperationalError("connection to 10.0.0.5 refused"),
    "bug": RuntimeError("sk_test_leaked_in_a_message"),
}


class Fails(APIView):
    def get(self, request, name):
        raise ERRORS[name]


class LineInput(serializers.Serializer):
    license = serializers.ChoiceField(choices=["personal"])


class OrderInput(serializers.Serializer):
    email = serializers.EmailField()
    items = LineInput(many=True)


class Orders(APIView):
    def post(self, request):
        OrderInput(data=request.data).is_valid(raise_exception=True)
        return Response({})


class Charges(APIView):
    """Gives the `answers` of a test in turn; `seen` are the result ids it was called with."""

    answers: ClassVar[list] = []
    snapshot: ClassVar[list] = []

    @idempotent
    def post(self, request, *, result_id):
        self.snapshot.append(result_id)
        answer = self.answers.pop(0) if self.answers else (201, {"id": str(result_id)})
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        return Response(answer[1], status=answer[0])


class CallOutput(serializers.ModelSerializer):
    class Meta:
        model = ProviderCall
        fields = ("id", "our_id")


class Calls(ListAPIView):
    serializer_class = CallOutput
    queryset = ProviderCall.objects.all()
    newest_by = ("-at", "-id")


urlpatterns = [
    path("api/v1/fails/<str:name>", Fails.as_view()),
    path("api/v1/example-orders", Orders.as_view()),
    path("api/v1/charges", Charges.as_view()),
    path("api/v1/calls", Calls.as_view()),
    *real,
]
