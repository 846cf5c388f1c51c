"""The sellers' part of the proof: each ends with exactly their share of an order, by what was really sent and reversed.

For each order and seller: share at sale - refunded - lost to disputes = sent - reversed + offset against other debts
- offset by later transfers + still to be sent - still owed + reversed unasked - written off as our loss.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import F

from connect.models import ConnectedAccount, SellerTransfer, SetOff, TransferReversal
from connect.states import TRANSFER_UNSENT, ReversalStatus, TransferStatus
from marketplace.proof import OrderFacts
from payments.ledger.chart_of_accounts import STRIPE_BALANCE, seller_account
from payments.ledger.proof import Books, Entry, Fault, Term, faults_between
from payments.models import Posting, WriteOff
from veza.core.money import format_amount

Kind = Posting.Kind
_SENT = (TransferStatus.COMPLETED, TransferStatus.REVERSAL_PENDING, TransferStatus.REVERSED)
_UNSENT = (*TRANSFER_UNSENT, TransferStatus.CANCELLED)


@dataclass
class TransferFacts:
    """One transfer as its rows tell it, in minor units of its currency."""

    row: SellerTransfer
    reversals: list[TransferReversal] = field(default_factory=list)
    offset_minor: int = 0
    offset_undone_minor: int = 0
    covered_by_offset_minor: int = 0
    lost_minor: int = 0
    is_misdirected: bool = False

    @property
    def is_sent(self) -> bool:
        return self.row.completed_at is not None

    def entries(self) -> list[Entry]:
        """The postings of its sending and of its reversals, exactly."""
        row, seller = self.row, seller_account(self.row.seller_id)
        entries = []
        if self.is_sent and row.sent_minor:
            entries.append(Entry(Kind.TRANSFER, row.pk, 0, seller, STRIPE_BALANCE, row.sent_minor, row.currency))
        for one in self.reversals:
            amount = one.to_minor - one.from_minor
            entries.append(Entry(Kind.REVERSAL, one.pk, 0, STRIPE_BALANCE, seller, amount, one.currency))
        return entries

    @property
    def reversed_minor(self) -> int:
        return sum(one.to_minor - one.from_minor for one in self.reversals)

    def net_minor(self) -> int:
        """What the seller ends with by this transfer, when all that is planned has happened."""
        row = self.row
        if row.status == TransferStatus.CANCELLED:
            return 0
        sent_minor = row.sent_minor - self.reversed_minor if self.is_sent else 0
        unsent_minor = 0 if self.is_sent else row.sent_minor
        debt_minor = row.reversal_target_minor - self.reversed_minor
        offsets = self.offset_minor - self.offset_undone_minor - self.covered_by_offset_minor
        return sent_minor + unsent_minor + offsets - debt_minor + row.external_reversed_minor - self.lost_minor

    def faults(self) -> list[Fault]:
        """Where the transfer contradicts its own rows."""
        return [*self._faults_of_sending(), *self._faults_of_sums()]

    def _faults_of_sending(self) -> Iterator[Fault]:
        """Money that Stripe sent has an id there and a status that says so; a transfer that was never sent has none.

        It went to an account of its own seller.
        """
        row, amount = self.row, self.row.amount()
        if row.status in _SENT and not self.is_sent:
            text = f"transfer {row.pk} of {amount} is {row.status}, and was never sent"
            yield Fault(text, row.sent_minor or row.amount_minor, row.currency)
        if row.status in _UNSENT and self.is_sent:
            text = f"transfer {row.pk} of {amount} is {row.status}, and was sent"
            yield Fault(text, row.sent_minor or row.amount_minor, row.currency)
        if self.is_misdirected:
            text = f"transfer {row.pk} of {amount} is for {row.destination}, the account of another seller"
            yield Fault(text, row.sent_minor, row.currency)
        if self.is_sent and row.sent_minor and not row.stripe_transfer_id:
            text = f"transfer {row.pk}: {amount} was sent, and it has no id at Stripe"
            yield Fault(text, row.sent_minor, row.currency)
        if row.stripe_transfer_id and not self.is_sent:
            text = f"transfer {row.pk}: Stripe has it as {row.stripe_transfer_id}, and its {amount} was never sent"
            yield Fault(text, row.sent_minor, row.currency)

    def _faults_of_sums(self) -> list[Fault]:
        row, currency = self.row, self.row.currency
        pairs = {
            "reversed": (self.reversed_minor, row.reversed_minor),
            "offset": (self.offset_minor, row.withheld_minor),
            "offset and undone": (self.offset_undone_minor, row.unwound_minor),
            "covered by offsets and losses": (self.covered_by_offset_minor + self.lost_minor, row.offset_minor),
            "written off": (self.lost_minor, row.written_off_minor),
        }
        unmade_minor = row.external_reversed_minor - self.reversed_minor
        unmade = format_amount(unmade_minor, currency)
        text = f"transfer {row.pk}: {unmade} of it counts as reversed in Stripe's dashboard, and no reversal was made"
        return [Fault(text, unmade_minor, currency)] * (unmade_minor > 0) + [
            Fault(
                f"transfer {row.pk}: {format_amount(fact, currency)} of it counts as {what}, and its row says "
                f"{format_amount(stored, currency)}",
                abs(fact - stored),
                currency,
            )
            for what, (fact, stored) in pairs.items()
            if fact != stored
        ]


def transfer_facts(order_ids: Collection[UUID]) -> dict[UUID, list[TransferFacts]]:
    """The transfers of each order, for as many queries as one order costs."""
    by_order: dict[UUID, list[TransferFacts]] = {order_id: [] for order_id in order_ids}
    facts: dict[UUID, TransferFacts] = {}
    for row in SellerTransfer.objects.filter(order__in=by_order).order_by("pk"):
        facts[row.pk] = TransferFacts(row)
        by_order[row.order_id].append(facts[row.pk])
    for one in TransferReversal.objects.filter(transfer__in=facts, status=ReversalStatus.MADE).order_by("from_minor"):
        facts[one.transfer_id].reversals.append(one)
    for offset in SetOff.objects.filter(transfer__in=facts, currency=F("transfer__currency")):
        facts[offset.transfer_id].offset_minor += offset.amount_minor
        facts[offset.transfer_id].offset_undone_minor += offset.unwound_minor
    for offset in SetOff.objects.filter(debt__in=facts, currency=F("debt__currency")):
        facts[offset.debt_id].covered_by_offset_minor += offset.amount_minor - offset.unwound_minor
    for loss in WriteOff.objects.filter(subject="connect.sellertransfer", subject_id__in=facts):
        facts[loss.subject_id].lost_minor += loss.lost_minor
    destinations = {fact.row.destination for fact in facts.values()} - {""}
    accounts = ConnectedAccount.objects.filter(stripe_account_id__in=destinations)
    owners = dict(accounts.values_list("stripe_account_id", "seller_id"))
    for fact in facts.values():
        fact.is_misdirected = owners.get(fact.row.destination, fact.row.seller_id) != fact.row.seller_id
    return by_order


def explain_transfers(books: Books, transfers: Iterable[TransferFacts]) -> list[Fault]:
    """What is wrong with the postings of an order's transfers and reversals."""
    faults: list[Fault] = []
    for transfer in transfers:
        entries = books.take(Kind.TRANSFER, transfer.row.pk)
        for one in transfer.reversals:
            entries += books.take(Kind.REVERSAL, one.pk)
        faults += faults_between(transfer.entries(), entries) + transfer.faults() + _ranges(transfer)
    return faults


def _ranges(transfer: TransferFacts) -> list[Fault]:
    """Reversals follow one another: the same cent is not reversed twice."""
    faults: list[Fault] = []
    reached = 0
    for one in transfer.reversals:
        if one.from_minor != reached:
            text = f"reversal {one.pk} begins at {one.from_minor}, and {reached} was reversed before it"
            faults.append(Fault(text, one.amount_minor, one.currency))
        reached = one.to_minor
    return faults


def unpaid_shares(facts: OrderFacts, transfers: Sequence[TransferFacts]) -> list[Fault]:
    """Every seller of an order who does not end with exactly their share of it."""
    currency = facts.order.currency
    net: dict[UUID, int] = defaultdict(int)
    faults: list[Fault] = []
    for transfer in transfers:
        net[transfer.row.seller_id] += transfer.net_minor()
        if transfer.row.currency != currency:
            text = f"transfer {transfer.row.pk} is in {transfer.row.currency}, and its order in {currency}"
            faults.append(Fault(text, transfer.row.amount_minor, transfer.row.currency))
    shares: Mapping[UUID, int] = facts.shares()
    return faults + [
        Fault(
            f"order {facts.order.pk}: seller {seller} should end with {format_amount(shares.get(seller, 0), currency)} "
            f"and ends with {format_amount(net.get(seller, 0), currency)}",
            abs(shares.get(seller, 0) - net.get(seller, 0)),
            currency,
        )
        for seller in sorted({*shares, *net}, key=str)
        if shares.get(seller, 0) != net.get(seller, 0)
    ]


def terms_of(transfers: Iterable[TransferFacts], entries: Sequence[Entry]) -> list[Term]:
    """What each transfer sent and reversed, by its postings and by its rows."""
    terms = []
    for transfer in transfers:
        row = transfer.row
        names = {one.pk for one in transfer.reversals}
        sent_minor = sum(one.amount_minor for one in entries if one.key == (Kind.TRANSFER, row.pk))
        back = sum(one.amount_minor for one in entries if one.kind == Kind.REVERSAL and one.subject_id in names)
        terms += [
            Term(f"sent {row.shown_id}", sent_minor, row.sent_minor if transfer.is_sent else 0, row.currency),
            Term(f"reversed {row.shown_id}", back, row.reversed_minor, row.currency),
        ]
    return terms
