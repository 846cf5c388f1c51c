"""Rows for tests. A test states only what matters to it; these state the rest."""

from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from marketplace.models import LicenseOffer, Product
from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.postings import open_accounts
from subscriptions.models import Plan, Subscription
from veza.core.models import User

# Longer than any test lets pass.
YEARS = timedelta(days=36_500)


class PersonFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")


class SellerFactory(PersonFactory):
    """A seller with a free plan that includes selling; `plan=False` for one who has none."""

    name = factory.Sequence(lambda n: f"Seller {n}")
    seller_since_at = factory.LazyFunction(timezone.now)

    @factory.post_generation
    def account(self, create, _given):
        open_accounts([seller_account(self.pk)])

    @factory.post_generation
    def plan(self, create, given):
        if given is not False:
            fields = {"price_minor": 0, "currency": "EUR", "can_sell_on_marketplace": True, "active": False}
            plan, _ = Plan.objects.get_or_create(name="Selling for free", defaults=fields)
            now = timezone.now()
            period = {"period_start_at": now, "period_end_at": now + YEARS, "due_at": now + YEARS, "anchor_day": 1}
            Subscription.objects.create(user=self, plan=plan, status="active", **period)


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
