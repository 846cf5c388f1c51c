"""An order to show messages with; it is in no table."""

from datetime import timedelta

from django.utils import timezone

from marketplace.models import LicenseKind, Order, OrderItem
from veza.core.models import User


def sample_order(status: str = "completed") -> Order:
    at = timezone.now()
    return Order(
        status=status,
        buyer=User(name="Ada Example", email="ada@example.com"),
        subtotal_minor=1_250_00,
        tax_minor=250_00,
        total_minor=1_500_00,
        currency="EUR",
        completed_at=at,
        refund_deadline=at + timedelta(days=14),
        created_at=at,
    )


def sample_items() -> list[OrderItem]:
    seller = User(name="Studio Example", email="studio@example.com")
    pieces = (("Ink Study No. 4", LicenseKind.PERSONAL, 50_00), ("Harbour at Dawn", LicenseKind.EXCLUSIVE, 1_200_00))
    return [
        OrderItem(
            seller=seller,
            title=title,
            license=kind,
            net_minor=net,
            tax_minor=net // 5,
            fee_minor=net // 10,
            seller_minor=net - net // 10,
            rights={"copies": 1},
        )
        for title, kind, net in pieces
    ]
