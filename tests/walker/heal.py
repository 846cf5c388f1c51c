"""After a walk everything works again: faults end, the mail arrives, banks answer, and two days pass."""

import random
from datetime import timedelta

from connect.models import ConnectedAccount
from payments.models import Dispute, Payment, Refund
from payments.reconciliation.refresh import by_reconciler, refresh_dispute, refresh_payment, refresh_refund
from tests.walker.providers import fill_balances
from tests.walker.world import World

# Two days in steps: the longest pause of a worker that retries is shorter than the last one.
SPANS = (*[timedelta(hours=1)] * 3, timedelta(hours=9), timedelta(hours=12), timedelta(hours=25))
# A payment without any update is stuck after this long; what is refreshed then may open what is sent and answered next.
ROUNDS_AT_REST = 3


def heal(world: World) -> None:
    """Bring the world to rest. What is then still open waits for staff, the buyer or the bank."""
    world.rng = random.Random(0)
    _mend_providers(world)
    _deliver_everything(world)
    for span in SPANS:
        _settle(world)
        world.pass_time(span)
    _read_everything()
    for _ in range(ROUNDS_AT_REST):
        _settle(world)
        world.pass_time(timedelta(hours=2))


def _mend_providers(world: World) -> None:
    world.sandbox.clear_faults()
    for account in ConnectedAccount.objects.order_by("pk"):
        world.sandbox.control(f"accounts/{account.stripe_account_id}", transfers="active")
    fill_balances(world)
    for payment in world.payments_there("processing"):
        world.sandbox.control(f"payments/{payment['payment_id']}", status="succeeded")


def _deliver_everything(world: World) -> None:
    """Every webhook there ever was, in any order, twice: the lost ones, too."""
    events = world.sandbox.webhooks() * 2
    world.rng.shuffle(events)
    for event in events:
        world.deliver(event)


def _settle(world: World) -> None:
    """The workers run, the banks answer what they sent, and the answers arrive."""
    world.sweep()
    for refund in world.remote("refunds"):
        if refund["status"] in ("pending", "review"):
            world.sandbox.control(f"refunds/{refund['refund_id']}", status="succeeded")
    if mail := world.mail():
        for event in mail:
            world.deliver(event)
        world.sweep()


def _read_everything() -> None:
    """Support refreshes every object of Hyperswitch's, one after the other."""
    cause = by_reconciler()
    for payment in Payment.objects.filter(hyperswitch_payment_id__isnull=False).order_by("pk"):
        refresh_payment(payment.pk, cause=cause)
    for refund in Refund.objects.filter(hyperswitch_refund_id__isnull=False).order_by("pk"):
        refresh_refund(refund.pk, cause=cause)
    for dispute in Dispute.objects.order_by("pk"):
        refresh_dispute(dispute.pk, cause=cause)
