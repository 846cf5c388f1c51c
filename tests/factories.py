"""Rows for tests. A test states only what matters to it; these state the rest."""

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from marketplace.models import LicenseOffer, Product
from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.postings import open_accounts
from veza.core.models import User


class PersonFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")


class SellerFactory(PersonFactory):
    name = factory.Sequence(lambda n: f"Seller {n}")
    seller_since_at = factory.LazyFunction(timezone.now)

    @factory.post_generation
    def account(self, create, _given):
        open_accounts([seller_account(self.pk)])


class ProductFactory(DjangoModelFactory):
    class Meta:
        model = Product

    seller = factory.SubFactory(SellerFactory)
    title = factory.Sequence(lambda n: f"Work {n}")


class OfferFactory(DjangoModelFactory):
    class Meta:
        model = LicenseOffer

    product = factory.SubFactory(ProductFactory)
    license = "personal"
    price_minor = 10_00
    currency = "EUR"
    tax_basis_points = 2_000
    rights = factory.LazyFunction(lambda: {"copies": 1})
