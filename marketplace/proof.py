"""What an order's items say must be true of its money: what was applied, and what each seller should have of it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from marketplace.models import Order, OrderItem, RefundLine
from payments.ledger.chart_of_accounts import PLATFORM_FEE, RECOVERABLE, TAX, UNAPPLIED, seller_account, seller_of
from payments.ledger.proof import Entry, Fault, Term
from payments.models import Dispute, Payment, Posting, Refund
from payments.states import RefundStatus
from veza.core.money import format_amount


@dataclass
class OrderFacts:
    """One fulfilled order as its rows tell it, in minor units of its currency."""

    order: Order
    items: list[OrderItem] = field(default_factory=list)
    refund_lines: list[RefundLine] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    def applied(self) -> dict[str, int]:
        """What each account was given when the order was fulfilled; what could not be delivered was not sold."""
        sums: dict[str, int] = defaultdict(int)
        for item in self.items:
            if not item.withheld:
                sums[seller_account(item.seller_id)] += item.seller_minor
                sums[PLATFORM_FEE] += item.fee_minor
                sums[TAX] += item.tax_minor
        return {account: amount for account, amount in sums.items() if amount}

    def entries(self) -> list[Entry]:
        """The postings of its fulfilment, exactly."""
        order = self.order
        return [
            Entry(Posting.Kind.APPLIED, order.pk, 0, UNAPPLIED, account, amount, order.currency)
            for account, amount in self.applied().items()
        ]

    def refunded(self) -> dict[str, int]:
        """What succeeded refunds took of each account, by the lines of its items."""
        sellers = {item.pk: item.seller_id for item in self.items}
        sums: dict[str, int] = defaultdict(int)
        for line in self.refund_lines:
            sums[seller_account(sellers[line.item_id])] += line.seller_minor
            sums[PLATFORM_FEE] += line.fee_minor
            sums[TAX] += line.tax_minor
        return sums

    def disputed(self, *places: str) -> dict[str, int]:
        """What disputes whose money is in one of `places` took of each account."""
        sums: dict[str, int] = defaultdict(int)
        for dispute in self.disputes:
            if dispute.funds_location in places and dispute.booked_currency == self.order.currency:
                for account, amount in dispute.allocation.items():
                    sums[account] += amount
        return sums

    def due(self) -> dict[str, int]:
        """What each account should hold of the order now, before sellers are paid out."""
        refunded, disputed = self.refunded(), self.disputed(Dispute.FundsLocation.SUSPENSE, Dispute.FundsLocation.BANK)
        accounts = {*self.applied(), *refunded} | {one for one in disputed if one not in (UNAPPLIED, RECOVERABLE)}
        applied = self.applied()
        return {one: applied.get(one, 0) - refunded.get(one, 0) - disputed.get(one, 0) for one in accounts}

    def shares(self) -> dict[UUID, int]:
        """What each seller should end with: the share at sale, less what refunds and lost disputes took of it."""
        refunded, losses = self.refunded(), self.disputed(Dispute.FundsLocation.BANK)
        applied = self.applied()
        shares = {item.seller_id: 0 for item in self.items}
        for account, amount in applied.items():
            if seller := seller_of(account):
                shares[seller] = max(0, amount - refunded.get(account, 0) - losses.get(account, 0))
        return shares

    def faults(self) -> list[Fault]:
        """Where the order contradicts itself: its total and its items, a refund and its lines."""
        order = self.order
        faults = []
        total = sum(item.total_minor for item in self.items)
        if total != order.total_minor:
            text = f"order {order.pk}: its items add up to {total} and its total is {order.total_minor}"
            faults.append(Fault(text, abs(total - order.total_minor), order.currency))
        for account, amount in self.due().items():
            if amount < 0:
                excess = format_amount(-amount, order.currency)
                text = f"order {order.pk}: refunds and disputes take {excess} more of {account} than its part"
                faults.append(Fault(text, -amount, order.currency))
        for refund in self.refunds:
            faults += self._lines_of(refund)
        return faults

    def _lines_of(self, refund: Refund) -> list[Fault]:
        lines = sum(line.total_minor for line in self.refund_lines if line.refund_id == refund.pk)
        of_items = refund.booked_minor - refund.allocation.get(UNAPPLIED, 0) - refund.allocation.get(RECOVERABLE, 0)
        if lines == of_items or refund.booked_currency != self.order.currency:
            return []
        text = f"refund {refund.pk}: its lines add up to {lines} and {of_items} of it was of items"
        return [Fault(text, abs(lines - of_items), refund.booked_currency)]


def order_facts(order_ids: Collection[UUID]) -> dict[UUID, OrderFacts]:
    """The facts of each fulfilled order of `order_ids`, for as many queries as one order costs."""
    orders = Order.objects.filter(pk__in=order_ids, completed_at__isnull=False)
    facts = {order.pk: OrderFacts(order) for order in orders}
    for item in OrderItem.objects.filter(order__in=facts):
        facts[item.order_id].items.append(item)
    lines = RefundLine.objects.filter(item__order__in=facts, refund__status=RefundStatus.SUCCEEDED)
    for line, order_id in ((line, line.item.order_id) for line in lines.select_related("item")):
        facts[order_id].refund_lines.append(line)
    own = {"payment__purpose": Payment.Purpose.ORDER, "payment__purpose_id__in": list(facts)}
    for dispute in Dispute.objects.filter(**own).select_related("payment"):
        facts[dispute.payment.purpose_id].disputes.append(dispute)
    for refund in Refund.objects.filter(**own, status=RefundStatus.SUCCEEDED).select_related("payment"):
        facts[refund.payment.purpose_id].refunds.append(refund)
    return facts


def terms_of(facts: OrderFacts, entries: Iterable[Entry]) -> list[Term]:
    """What each account holds of the order by its postings, against what the items say; without payouts and losses."""
    holdings: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry.kind in (Posting.Kind.APPLIED, Posting.Kind.REFUND, Posting.Kind.DISPUTE):
            holdings[entry.debit] -= entry.amount_minor
            holdings[entry.credit] += entry.amount_minor
    due: Mapping[str, int] = facts.due()
    accounts = {one for one in {*holdings, *due} if seller_of(one) or one in (PLATFORM_FEE, TAX)}
    return [
        Term(f"held by {account}", holdings.get(account, 0), due.get(account, 0), facts.order.currency)
        for account in sorted(accounts)
        if holdings.get(account) or due.get(account)
    ]
