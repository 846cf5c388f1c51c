"""What an order that is refused answers besides the members that every problem has."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from veza.core.api.problems import PROBLEM_JSON


class TermsOutput(serializers.Serializer[Any]):
    price_minor = serializers.IntegerField(required=False)
    tax_minor = serializers.IntegerField(required=False)
    total_minor = serializers.IntegerField(required=False, help_text="The price with tax.")
    currency = serializers.CharField(required=False)
    rights = serializers.DictField(required=False)


class ChangeOutput(serializers.Serializer[Any]):
    cart_item_id = serializers.UUIDField(allow_null=True)
    product_id = serializers.UUIDField()
    title = serializers.CharField()
    license = serializers.CharField()
    expected = TermsOutput(help_text="What you were shown, or said that you expect.")
    actual = TermsOutput(help_text="What it is now.")


class SumOutput(serializers.Serializer[Any]):
    total_minor = serializers.IntegerField(required=False, help_text="With tax.")
    currency = serializers.CharField(required=False)


class SumsOutput(serializers.Serializer[Any]):
    expected = SumOutput()
    actual = SumOutput()


class UnavailableOutput(serializers.Serializer[Any]):
    cart_item_id = serializers.UUIDField()
    product_id = serializers.UUIDField()
    title = serializers.CharField()
    license = serializers.CharField()
    why = serializers.CharField()


class _Refusal(serializers.Serializer[Any]):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    instance = serializers.CharField()
    request_id = serializers.CharField()


class OrderRefusal(_Refusal):
    """`changes` and `sums` are those of the code `offer_changed`."""

    changes = ChangeOutput(many=True, required=False)
    sums = SumsOutput(required=False, allow_null=True)


class CheckoutRefusal(OrderRefusal):
    """`unavailable` is that of the code `items_unavailable`."""

    unavailable = UnavailableOutput(many=True, required=False)


ORDER_PROBLEMS: Mapping[Any, OpenApiResponse] = {
    (409, PROBLEM_JSON): OpenApiResponse(OrderRefusal, "It is not what you agreed to (`offer_changed`).")
}
CHECKOUT_PROBLEMS: Mapping[Any, OpenApiResponse] = {
    (409, PROBLEM_JSON): OpenApiResponse(
        CheckoutRefusal, "It is not what you were shown (`offer_changed`), or not available (`items_unavailable`)."
    )
}
