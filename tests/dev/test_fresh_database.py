"""What a test that commits leaves to the next one: the database as the migrations made it."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import TransactionTestCase
from django.utils import timezone

from payments.models import LedgerAccount
from tests.crowd import before_commit
from tests.factories import PersonFactory
from veza.core.ids import new_id
from veza.core.models import StatusChange, User

pytestmark = pytest.mark.django_db(transaction=True)


def end_test() -> None:
    TransactionTestCase("__init__")._fixture_teardown()


def test_a_committed_row_is_gone():
    PersonFactory()

    end_test()

    assert not User.objects.exists()


def test_a_row_that_nothing_may_delete_is_gone():
    StatusChange.objects.create(machine="order", subject_id=new_id(), correlation_id=new_id(), at=timezone.now())

    end_test()

    assert not StatusChange.objects.exists()


def test_a_row_of_a_new_database_that_was_changed_or_deleted_is_as_it_was():
    before = set(Group.objects.values_list("name", "permissions__name"))
    Permission.objects.update(name="renamed")
    Group.objects.all().delete()

    end_test()

    assert set(Group.objects.values_list("name", "permissions__name")) == before


def test_a_row_added_beside_those_of_a_new_database_is_gone():
    LedgerAccount.objects.create(code="a test's own")

    end_test()

    assert LedgerAccount.objects.exists()
    assert not LedgerAccount.objects.filter(code="a test's own").exists()


def test_a_row_that_is_still_being_written_is_waited_for():
    _, ending = before_commit(transaction.atomic(PersonFactory), end_test)

    assert ending.waited
    assert not User.objects.exists()
