"""An e-mail is a row in the commit of its fact: one for each fact and recipient."""

import pytest
from django.db import transaction

from tests.core.email.builders import NOTE, write_note
from tests.factories import PersonFactory
from veza.core.email.outbox import write_email, write_group_email
from veza.core.ids import new_id
from veza.core.models import Email

pytestmark = pytest.mark.django_db


def test_the_same_fact_is_written_once_for_each_recipient():
    user, other = PersonFactory(), PersonFactory()
    for to in (user, user, other):
        write_email(NOTE, user, to=to.pk)

    assert Email.objects.count() == 2


def test_another_occasion_is_another_fact():
    user = PersonFactory()
    for occasion in ("2026-01", "2026-02", "2026-02"):
        write_email(NOTE, user, to=user.pk, occasion=occasion)

    assert Email.objects.count() == 2


def test_a_group_gets_one_email_about_a_fact_too():
    subject_id = new_id()
    for _ in range(2):
        write_group_email(
            NOTE,
            address="finance@example.com",
            language="fr",
            subject="core.user",
            subject_id=subject_id,
            occasion="monday",
        )

    assert Email.objects.get().address == "finance@example.com"


@pytest.mark.django_db(transaction=True)
def test_a_fact_that_is_rolled_back_leaves_no_email():
    with transaction.atomic():
        user = PersonFactory()
        write_email(NOTE, user, to=user.pk)
        transaction.set_rollback(True)

    assert not Email.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_email_is_never_written_outside_of_a_transaction():
    user = PersonFactory()

    with pytest.raises(AssertionError, match="commit of the fact"):
        write_email(NOTE, user, to=user.pk)


def test_a_new_email_is_due_at_once():
    email = write_note()

    assert (email.status, list(Email.objects.waiting())) == ("waiting", [email])
