"""A small, realistic catalogue to try Veza with: three sellers, a buyer, staff, ten products and three plans."""

import json
import os
from itertools import count
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from connect.accounts import request_account
from marketplace.models import LicenseOffer, Product
from subscriptions.access import may_sell
from subscriptions.creators import become_creator
from subscriptions.models import Plan
from subscriptions.subscribing import open_subscription
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.words import count_of

BUYER, SUPPORT, ADMIN = "buyer@demo.example", "support@demo.example", "admin@demo.example"
SELLERS = {
    "ana@demo.example": ("Ana Beats", ["Midnight Drive", "Lo-fi Rain", "Paper Planes", "Slow Sunday"]),
    "milo@demo.example": ("Milo Type", ["Grotesk Nine", "Handset Serif", "Mono for Makers"]),
    "ines@demo.example": ("Inès Photo", ["Harbour at Dawn", "Forty Doors of Lisbon", "Salt Flats"]),
}
# Licence, price in minor units, tax in basis points, what it allows.
OFFERS = (
    ("personal", 9_00, 2_000, {"commercial_use": False, "copies": 1}),
    ("commercial", 49_90, 2_000, {"commercial_use": True, "copies": 10_000}),
    ("exclusive", 450_00, 2_000, {"commercial_use": True, "exclusive": True}),
)
PLANS = (("Listener", 0, 0, False), ("Creator", 9_90, 14, True), ("Studio", 29_00, 0, True))


SELLERS_PLAN = "Creator"
COMMAND = Cause("command", actor="load_demo")
# The API page's examples name the first of these, so that they work when pasted.
PRODUCT_ID = "0190a000-0000-7000-8000-{:012d}"


class Command(BaseCommand):
    help = "Load the demo catalogue. Running it again changes nothing but the passwords (DEMO_PASSWORD)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        password = os.environ.get("DEMO_PASSWORD", "")
        if settings.VEZA_ENVIRONMENT == "live":
            raise CommandError("This is the live system: demo users with a known password do not belong here.")
        if not password:
            raise CommandError("Set DEMO_PASSWORD: it becomes the password of the demo users.")
        self.numbers = count(1)
        self.password_hash = make_password(password)  # Hashing is slow on purpose: once is enough here.
        self._person(BUYER, "Bea Buyer")
        self._person(SUPPORT, "Sam Support", is_staff=True).groups.set(Group.objects.filter(name="support"))
        self._person(ADMIN, "Ada Admin", is_staff=True, is_superuser=True)
        for name, price, trial_days, can_sell in PLANS:
            Plan.objects.get_or_create(
                name=name,
                version=1,
                defaults={
                    "price_minor": price,
                    "currency": "EUR",
                    "trial_days": trial_days,
                    "tax_basis_points": 2_000,
                    "can_sell_on_marketplace": can_sell,
                    "can_distribute": can_sell,
                },
            )
        for email, (name, titles) in SELLERS.items():
            self._seller(self._person(email, name), titles)
        people = {"buyer": BUYER, "sellers": list(SELLERS), "staff": SUPPORT, "admin": ADMIN}
        products = Product.objects.count()
        summary = json.dumps(people | {"products": products})
        self.stdout.write(summary if options["json"] else f"{count_of(products, 'product')} for sale.")

    def _person(self, email: str, name: str, **flags: Any) -> User:
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, name=name, **flags)
        User.objects.filter(pk=user.pk).update(password=self.password_hash)
        return user

    def _seller(self, seller: User, titles: list[str]) -> None:
        now = timezone.now()
        become_creator(user_id=seller.pk, at=now)
        if not may_sell(seller.pk, now):
            plan = Plan.objects.get(name=SELLERS_PLAN, active=True)
            open_subscription(subscription_id=new_id(), user=seller, plan_id=plan.pk, cause=COMMAND, at=now)
        for title in titles:
            product, _ = Product.objects.get_or_create(
                pk=UUID(PRODUCT_ID.format(next(self.numbers))),
                defaults={"seller": seller, "title": title, "description": f"{title}, by {seller.name}."},
            )
            for kind, price, tax, rights in OFFERS:
                LicenseOffer.objects.get_or_create(
                    product=product,
                    license=kind,
                    defaults={"price_minor": price, "currency": "EUR", "tax_basis_points": tax, "rights": rights},
                )
        if settings.STRIPE_SECRET_KEY:
            request_account(seller_id=seller.pk, country="FR")
