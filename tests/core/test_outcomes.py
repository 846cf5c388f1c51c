"""What a provider says about a call that came to nothing is stored, whatever characters it has."""

import pytest

from tests.core.rows import make_payment
from veza.core import calls
from veza.core.models import ProviderCall
from veza.core.outcomes import Call, NotSent, Refused, Unknown

HOSTILE = "no\0\ud800" + "x" * 600
CALL = Call("hyperswitch", "POST", "/payments", 400, 3)


@pytest.mark.django_db
@pytest.mark.parametrize("outcome", [Refused(HOSTILE, HOSTILE, CALL), NotSent(HOSTILE, CALL), Unknown(HOSTILE, CALL)])
def test_an_outcome_is_stored_whatever_its_text(outcome):
    calls.record(outcome, subject=make_payment(), our_id="pay_1")

    assert ProviderCall.objects.get().detail.startswith("no\ufffd?xxx")


@pytest.mark.django_db
def test_a_refusal_fits_the_row_that_it_ends():
    refusal = Refused(HOSTILE, HOSTILE, CALL)
    payment = make_payment(error_code=refusal.code, error_message=refusal.message)

    assert (len(payment.error_code), len(payment.error_message)) == (100, 500)
