"""A row is where its status changes lead: whoever changes a status by hand leaves none."""

import pytest
from django.db import transaction
from django.utils import timezone

from payments.models import Refund
from payments.states import RefundStatus
from tests.backoffice.damage import damage
from tests.buying import order_of
from tests.factories import OfferFactory
from tests.payments.builders import unsent_refund
from veza.core.causes import Cause
from veza.core.states import move
from veza.core.status_history import contradicted

pytestmark = pytest.mark.django_db


@pytest.fixture
def refund() -> Refund:
    return unsent_refund(order_of(OfferFactory()), 2_00)


def move_to(refund: Refund, *statuses: RefundStatus) -> None:
    with transaction.atomic():
        for status in statuses:
            move(refund, status, cause=Cause("user", actor="support"), at=timezone.now())


def test_a_row_may_come_back_to_an_earlier_status(refund):
    move_to(refund, RefundStatus.SUCCEEDED, RefundStatus.BOUNCED, RefundStatus.SUCCEEDED)

    assert list(contradicted([refund])) == []


def test_a_status_without_its_change_is_contradicted(refund):
    move_to(refund, RefundStatus.SUCCEEDED, RefundStatus.BOUNCED)
    refund.status = RefundStatus.SUCCEEDED

    assert list(contradicted([refund])) == [(refund, "bounced")]


def test_a_row_without_changes_has_the_status_it_began_with(refund):
    refund.status = RefundStatus.FAILED

    assert list(contradicted([refund])) == [(refund, "pending")]


def test_a_change_that_is_missing_in_the_middle_is_noticed(refund):
    move_to(refund, RefundStatus.SUCCEEDED, RefundStatus.BOUNCED)
    damage("DELETE FROM core_statuschange WHERE subject_id = %(refund)s AND to_status = 'succeeded'", refund=refund.pk)

    assert [row for row, _ in contradicted([refund])] == [refund]
