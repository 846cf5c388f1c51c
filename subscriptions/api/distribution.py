"""The API of distribution: eligibility and submissions."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions.access import refuse_unless_may_distribute
from subscriptions.creators import submit_work
from subscriptions.models import DistributionSubmission
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, input_of
from veza.core.api.requests import user_id_of


class EligibilityOutput(serializers.Serializer[Any]):
    eligible = serializers.BooleanField()
    plan = serializers.CharField()
    until_at = serializers.DateTimeField(allow_null=True, help_text="Null: as long as you have the plan.")


class SubmissionInput(Input):
    title = serializers.CharField(max_length=120)
    artist = serializers.CharField(max_length=120)
    note = serializers.CharField(max_length=2_000, required=False, allow_blank=True, default="")


class SubmissionOutput(serializers.ModelSerializer[DistributionSubmission]):
    class Meta:
        model = DistributionSubmission
        fields = ("id", "title", "artist", "note", "created_at")


class Eligibility(APIView):
    @extend_schema(
        operation_id="get_distribution_eligibility",
        summary="Check whether you may submit works for distribution",
        description="403 `subscription_payment_required` without a paid subscription, 403 `plan_does_not_allow` if "
        "your plan does not include distribution.",
        responses=EligibilityOutput,
        tags=["distribution"],
    )
    def get(self, request: Request) -> Response:
        payment = refuse_unless_may_distribute(user_id_of(request), at=timezone.now())
        return Response({"eligible": True, "plan": payment.plan.name, "until_at": payment.until_at})


class Submissions(APIView):
    @extend_schema(
        operation_id="submit_distribution",
        summary="Submit a work for distribution",
        request=SubmissionInput,
        responses={201: SubmissionOutput},
        tags=["distribution"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, SubmissionInput)
        submission = submit_work(submission_id=result_id, user_id=user_id_of(request), at=timezone.now(), **payload)
        return Response(SubmissionOutput(submission).data, status=201)
