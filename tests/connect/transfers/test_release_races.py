"""A seller is released while a transfer of theirs is claimed: whoever is first, the money does not go on waiting.

Every test fails without the lock that it is about.
"""

from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer
from connect.transfers.transfer_requests import claim_transfer
from marketplace.models import SellerRestriction
from marketplace.restrictions import lift_restriction
from tests.connect.factories import BY_TEST, make_seller, planned
from tests.crowd import Rival, before_commit
from veza.core.causes import Cause

pytestmark = pytest.mark.django_db(transaction=True)
BY_STAFF = Cause("staff", actor="ada@staff.example", reason="The bank has confirmed it.")


@pytest.fixture
def transfer() -> SellerTransfer:
    """A transfer of 9.00 to a seller whose money is held."""
    seller, now = make_seller(), timezone.now()
    SellerRestriction.objects.create(seller=seller, kind="hold", reason="R.", imposed_by="s", review_at=now)
    return planned(seller, amount_minor=9_00)


def release() -> SellerRestriction:
    restriction = SellerRestriction.objects.get()
    return lift_restriction(restriction_id=restriction.pk, cause=BY_STAFF, at=timezone.now())


def is_due(transfer: SellerTransfer) -> bool:
    transfer.refresh_from_db()
    return transfer.next_retry_at is not None and transfer.next_retry_at <= timezone.now()


def test_a_release_finds_a_transfer_that_is_just_told_to_wait(transfer):
    claim = partial(claim_transfer, transfer.pk, cause=BY_TEST)

    attempt, rival = before_commit(claim, release)

    assert (attempt, rival.waited, is_due(transfer)) == (None, True, True)
    assert claim().amount_minor == 9_00


def test_a_claim_waits_for_a_release_and_sends(transfer):
    _, rival = before_commit(release, partial(claim_transfer, transfer.pk, cause=BY_TEST))

    assert (rival.waited, rival.result().amount_minor) == (True, 9_00)


def test_a_release_locks_transfers_in_the_order_of_everybody_else(transfer):
    """The one that was told to wait first is found first: without the order, both would wait for each other."""
    second, rival = planned(transfer.seller), Rival(release)
    for row in (second, transfer):
        claim_transfer(row.pk, cause=BY_TEST)

    with transaction.atomic():
        SellerTransfer.objects.locked().get(pk=transfer.pk)
        rival.begin()
        SellerTransfer.objects.locked().get(pk=second.pk)

    assert (rival.waited, rival.result().status) == (True, "ended")
    assert is_due(transfer)
    assert is_due(second)
