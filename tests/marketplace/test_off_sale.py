"""A work that staff take off sale and put back: once, told to its seller, and never by its own seller."""

import pytest
from django.utils import timezone

from marketplace.models import LicenseOffer
from marketplace.off_sale import AlreadyOffSale, NotOffSale, put_back_on_sale, take_off_sale
from tests.emails import texts_to
from tests.factories import OfferFactory
from tests.restricting import REASON, by, clerk, off_sale
from veza.core.accounts import OwnAccount

pytestmark = pytest.mark.django_db


@pytest.fixture
def offer() -> LicenseOffer:
    return OfferFactory()


def back_on_sale(product):
    return put_back_on_sale(product_id=product.pk, cause=by(clerk()), at=timezone.now())


def test_the_seller_reads_which_work_why_and_how_to_contest(offer):
    off_sale(offer.product)

    (text,) = texts_to(offer.product.seller, "work_taken_off_sale")
    assert f"{offer.product.title} is not sold any more." in text
    assert f"The reason: {REASON}" in text
    assert "answer this e-mail and say why" in text


def test_the_sellers_own_choice_stays_as_it_was(offer):
    product = back_on_sale(off_sale(offer.product))

    assert (product.published, product.taken_off_sale_at, product.taken_off_sale_reason) == (True, None, "")


def test_putting_it_back_tells_the_seller_and_outdates_the_first_notice(offer):
    back_on_sale(off_sale(offer.product))

    (text,) = texts_to(offer.product.seller)
    assert "may be sold again" in text


def test_it_is_taken_off_sale_once_and_put_back_once(offer):
    off_sale(offer.product)
    with pytest.raises(AlreadyOffSale):
        off_sale(offer.product)

    back_on_sale(offer.product)
    with pytest.raises(NotOffSale):
        back_on_sale(offer.product)


def test_every_time_it_is_taken_off_sale_is_told(offer):
    off_sale(offer.product)
    back_on_sale(offer.product)
    off_sale(offer.product)

    assert len(texts_to(offer.product.seller, "work_taken_off_sale")) == 1
    assert texts_to(offer.product.seller, "work_back_on_sale") == []


def test_staff_cannot_put_their_own_work_back_on_sale(offer):
    product = off_sale(offer.product)

    with pytest.raises(OwnAccount):
        put_back_on_sale(product_id=product.pk, cause=by(product.seller), at=timezone.now())
    with pytest.raises(OwnAccount):
        take_off_sale(product_id=product.pk, cause=by(product.seller), at=timezone.now())
