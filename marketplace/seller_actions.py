"""What staff may do about a seller's sales: take a work off sale, suspend the seller, hold their money, and end it."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from marketplace import off_sale, restrictions
from marketplace.models import OrderItem, Product, RestrictionKind, SellerRestriction
from marketplace.ports import sellers
from marketplace.states import OrderStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, reason_field
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import User
from veza.core.money import format_amounts

TAKE_OFF_SALE, SUSPEND, HOLD = "marketplace.take_off_sale", "marketplace.suspend_seller", "marketplace.hold_money"
_WHAT_THE_SELLER_READS = (
    "An e-mail tells the seller what, why (your reason, word for word), since when, and how to contest it."
)


class ReasonForTheSeller(ActionForm):
    """A reason that is written to the seller."""

    reason = reason_field("The seller reads it, without your name. The history shows it with your name.")


class ReviewForm(ReasonForTheSeller):
    """The day by which staff decide again, and the reason."""

    review_on = forms.DateField(label="Decide again by", widget=forms.DateInput(attrs={"type": "date"}))
    field_order = ("review_on", "reason")

    def clean_review_on(self) -> datetime:
        """The end of the day, UTC."""
        review_at = datetime.combine(self.cleaned_data["review_on"], time.max, UTC)
        try:
            restrictions.refuse_review_date(review_at, at=timezone.now())
        except NotAllowed as refusal:
            raise forms.ValidationError(refusal.text) from refusal
        return review_at


class _OfProduct(AdminAction[Product]):
    permission = TAKE_OFF_SALE

    def version_of(self, row: Product) -> str:
        return str(row.taken_off_sale_at)

    def form(self, row: Product, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReasonForTheSeller(data)


class TakeOffSale(_OfProduct):
    label = "Take off sale"

    def is_available(self, row: Product) -> bool:
        return row.taken_off_sale_at is None

    def preview(self, row: Product, *, params: ActionRequest) -> list[str]:
        unpaid_orders = _open_orders(row.seller_id, offer__product=row.pk)
        return [
            f"“{row.title}” of {row.seller.email} is not sold any more, under any licence.",
            f"Unpaid orders of it: {unpaid_orders}. If one is paid, its line is refunded by itself.",
            "Licences already sold stay, and so does the money for them. The seller's other works are not affected.",
            _WHAT_THE_SELLER_READS,
        ]

    def perform(self, row: Product, *, cause: Cause, params: ActionRequest) -> str:
        off_sale.take_off_sale(product_id=row.pk, cause=cause, at=timezone.now())
        return "The work is off sale."


class PutBackOnSale(_OfProduct):
    label = "Put back on sale"

    def is_available(self, row: Product) -> bool:
        return row.taken_off_sale_at is not None

    def preview(self, row: Product, *, params: ActionRequest) -> list[str]:
        if row.published:
            consequence = f"“{row.title}” is in the catalogue again at once, if its seller may sell."
        else:
            consequence = f"“{row.title}” may be sold again; its seller does not have it published."
        return [consequence, f"{row.seller.email} is told by e-mail."]

    def perform(self, row: Product, *, cause: Cause, params: ActionRequest) -> str:
        off_sale.put_back_on_sale(product_id=row.pk, cause=cause, at=timezone.now())
        return "The work may be sold again."


class _OfSeller(AdminAction[User]):
    for_selection = False
    kind: ClassVar[RestrictionKind]

    def is_available(self, row: User) -> bool:
        return row.seller_since_at is not None and not _in_force(row.pk, self.kind).exists()

    def version_of(self, row: User) -> str:
        return ",".join(sorted(str(each.pk) for each in SellerRestriction.objects.in_force().filter(seller=row)))


class SuspendSeller(_OfSeller):
    label, permission, kind = "Suspend seller", SUSPEND, RestrictionKind.SUSPENSION

    def form(self, row: User, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReasonForTheSeller(data)

    def preview(self, row: User, *, params: ActionRequest) -> list[str]:
        review_at = restrictions.suspension_review_at(timezone.now())
        return [
            f"Works that leave sale: {_works_on_sale(row.pk)}.",
            f"Unpaid orders of them: {_open_orders(row.pk)}. If one is paid, their lines are refunded.",
            f"Money that waits with us until you release the seller: {waiting_amounts(row.pk)}. Payouts are refused.",
            "They can still log in, read, refund buyers and leave. Licences already sold stay.",
            f"A review item asks for a decision on {review_at:%d %b %Y}." if review_at else "No review is scheduled.",
            _WHAT_THE_SELLER_READS,
        ]

    def perform(self, row: User, *, cause: Cause, params: ActionRequest) -> str:
        restrictions.suspend_seller(seller_id=row.pk, cause=cause, at=timezone.now())
        return "The seller is suspended."


class HoldMoney(_OfSeller):
    label, permission, kind = "Hold money", HOLD, RestrictionKind.HOLD

    def form(self, row: User, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReviewForm(data)

    def preview(self, row: User, *, params: ActionRequest) -> list[str]:
        return [
            f"Money that waits with us until you end the hold: {waiting_amounts(row.pk)}. Payouts are refused.",
            f"Works that stay on sale: {_works_on_sale(row.pk)}. What they earn waits too.",
            _review_sentence(params),
            _WHAT_THE_SELLER_READS,
        ]

    def perform(self, row: User, *, cause: Cause, params: ActionRequest) -> str:
        review_at = params.answers["review_on"]
        restrictions.hold_money(seller_id=row.pk, review_at=review_at, cause=cause, at=timezone.now())
        return f"The money is held. A review item asks for a decision on {review_at:%d %b %Y}."


class _OfRestriction(AdminAction[SellerRestriction]):
    for_selection = False
    kind: ClassVar[RestrictionKind]

    def is_available(self, row: SellerRestriction) -> bool:
        return row.ended_at is None and row.kind == self.kind


class _Lift(_OfRestriction):
    def form(self, row: SellerRestriction, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReasonForTheSeller(data)

    def preview(self, row: SellerRestriction, *, params: ActionRequest) -> list[str]:
        others = SellerRestriction.objects.in_force().filter(seller=row.seller_id).exclude(pk=row.pk)
        sentences = [f"Sent to {row.seller.email} within a minute: {waiting_amounts(row.seller_id)}."]
        if other := others.first():
            sentences = [f"The {other.kind} stays in force: {waiting_amounts(row.seller_id)} still waits."]
        if self.kind == RestrictionKind.SUSPENSION:
            sentences.append(f"Works that may be sold again at once: {_works_on_sale(row.seller_id)}.")
        return [*sentences, "The seller is told by e-mail. Your reason is in it."]

    def perform(self, row: SellerRestriction, *, cause: Cause, params: ActionRequest) -> str:
        restrictions.lift_restriction(restriction_id=row.pk, cause=cause, at=timezone.now())
        return f"The {row.kind} has ended."


class ReleaseSeller(_Lift):
    label, permission, kind = "Release seller", SUSPEND, RestrictionKind.SUSPENSION


class EndHold(_Lift):
    label, permission, kind = "End hold", HOLD, RestrictionKind.HOLD


class _Extend(_OfRestriction):
    def form(self, row: SellerRestriction, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReviewForm(data)

    def preview(self, row: SellerRestriction, *, params: ActionRequest) -> list[str]:
        return [
            f"The {row.kind} stays in force: {waiting_amounts(row.seller_id)} of {row.seller.email} still waits.",
            _review_sentence(params),
            _WHAT_THE_SELLER_READS,
        ]

    def perform(self, row: SellerRestriction, *, cause: Cause, params: ActionRequest) -> str:
        review_at = params.answers["review_on"]
        restrictions.extend_restriction(restriction_id=row.pk, review_at=review_at, cause=cause, at=timezone.now())
        return f"The {row.kind} stays in force. A review item asks for a decision on {review_at:%d %b %Y}."


class ExtendSuspension(_Extend):
    label, permission, kind = "Extend suspension", SUSPEND, RestrictionKind.SUSPENSION


class ExtendHold(_Extend):
    label, permission, kind = "Extend hold", HOLD, RestrictionKind.HOLD


def waiting_amounts(seller_id: UUID) -> str:
    """What is still to be sent to a seller, in words."""
    return format_amounts(sellers().unsent_minor(seller_id)) or "none"


def _review_sentence(params: ActionRequest) -> str:
    if review_at := params.answers.get("review_on"):
        return f"A review item asks for a decision on {review_at:%d %b %Y}."
    limit = settings.RESTRICTION_REVIEW_WITHIN
    latest = f", {limit.days} days from now at the latest" if limit else ""
    return f"A review item asks for a decision on the day that you choose{latest}."


def _in_force(seller_id: UUID, kind: RestrictionKind) -> Any:
    return SellerRestriction.objects.in_force().filter(seller=seller_id, kind=kind)


def _works_on_sale(seller_id: UUID) -> int:
    return Product.objects.filter(seller=seller_id, published=True, taken_off_sale_at=None).count()


def _open_orders(seller_id: UUID, **items: UUID) -> int:
    """How many unpaid orders have an item of the seller's, or of these among them."""
    own = OrderItem.objects.filter(seller=seller_id, order__status=OrderStatus.PENDING, **items)
    return own.aggregate(orders=Count("order", distinct=True))["orders"]  # type: ignore[no-any-return]
