import dataclasses

import pytest

from veza.core.api.requests import cause_of
from veza.core.causes import Cause, by_sweep
from veza.core.models import User


class ActionRequest:
    """As much of a request as a cause is made of."""

    def __init__(self, user):
        self.user, self.request_id = user, "req-1"


def test_a_cause_cannot_be_changed_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Cause("user").kind = "staff"


def test_a_sweep_is_named_as_the_cause_of_what_it_does():
    assert by_sweep("reversals") == Cause("sweep", actor="reversals")


def test_a_callers_cause_names_the_person_and_the_request():
    user = User(email="buyer@example.com")

    assert cause_of(ActionRequest(user)) == Cause("user", id=user.pk, actor="buyer@example.com", request_id="req-1")


def test_staff_are_told_apart_and_give_a_reason():
    cause = cause_of(ActionRequest(User(email="support@example.com", is_staff=True)), "buyer asked by phone")

    assert (cause.kind, cause.reason) == ("staff", "buyer asked by phone")
