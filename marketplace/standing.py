"""How staff's decisions about sellers and works limit what is sold and paid. Every gate asks here."""

from uuid import UUID

from marketplace.models import SellerRestriction


def is_suspended(seller_id: UUID) -> bool:
    """Whether the seller is suspended: nothing of theirs is sold, and no money leaves to them."""
    return SellerRestriction.objects.in_force().suspensions().filter(seller=seller_id).exists()


def is_money_held(seller_id: UUID) -> bool:
    """Whether the seller's money stays with us: a suspension or a hold is in force."""
    return SellerRestriction.objects.in_force().filter(seller=seller_id).exists()
