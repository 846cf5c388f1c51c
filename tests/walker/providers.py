"""What happens at Hyperswitch, at Stripe and at the banks, without our asking or while we ask."""

from typing import Any

from connect.models import ConnectedAccount
from tests.walker.world import World

ABROAD = "USD"
LARGE = 10_000_00
PAYABLE = ("requires_payment_method", "failed")
CAPTURED = ("succeeded", "partially_captured")
VOIDED = ("cancelled_post_capture", "cancelled")
DECISIONS = ("opened", "challenged", "won", "lost", "accepted", "expired", "cancelled")
HYPERSWITCH_PATHS = ("^/payments$", "^/refunds$", "^/payments/", "^/refunds/", "/cancel$", "^/disputes/")
STRIPE_PATHS = ("^/v1/transfers$", "/reversals$", "^/v1/transfers/", "^/v1/accounts/")


# Payments


def pay(world: World) -> str | None:
    if not (payment := _any(world, world.payments_there(*PAYABLE))):
        return None
    world.entered.pop(payment["payment_id"], None)
    return f"{payment['payment_id']}: {world.sandbox.pay(payment['payment_id']).status_code}"


def decline(world: World) -> str | None:
    if not (payment := _any(world, world.payments_there(*PAYABLE))):
        return None
    return f"{payment['payment_id']}: {world.sandbox.pay(payment['payment_id'], 'decline').status_code}"


def pay_other_amount(world: World) -> str | None:
    """Too little or too much arrives."""
    if not (payment := _any(world, world.payments_there(*PAYABLE))):
        return None
    amount = world.rng.choice((1, payment["amount"] // 2 or 1, payment["amount"] + 1, payment["amount"] * 2))
    status = "partially_captured" if amount < payment["amount"] and world.rng.random() < 0.5 else "succeeded"
    return _force_payment(world, payment, status=status, amount_received=amount)


def pay_foreign(world: World) -> str | None:
    if not (payment := _any(world, world.payments_there(*PAYABLE))):
        return None
    return _force_payment(world, payment, status="succeeded", amount_received=payment["amount"], currency=ABROAD)


def receive_later(world: World) -> str | None:
    """A page that was paid by a slow method; or the rest, or more, of what was captured in part."""
    if payment := _any(world, world.payments_there("processing", "partially_captured")):
        extra = world.rng.choice((0, 0, 1_00))
        status = world.rng.choice(("succeeded", "succeeded", "failed"))
        if status == "failed" and payment["status"] == "processing":
            return _force_payment(world, payment, status="failed")
        return _force_payment(world, payment, status="succeeded", amount_received=payment["amount"] + extra)
    if payment := _any(world, world.payments_there(*PAYABLE)):
        return _force_payment(world, payment, status="processing")
    return None


def receive_more(world: World) -> str | None:
    """Hyperswitch sends no second `payment_succeeded`: only a read shows it."""
    if not (payment := _any(world, _with_amount(world, "succeeded"))):
        return None
    return _force_payment(world, payment, amount_received=payment["amount_received"] + world.rng.randint(1, 9_00))


def void(world: World) -> str | None:
    """The capture is cancelled, or fails after all, whatever was refunded or disputed of it before."""
    if not (payment := _any(world, world.payments_there(*CAPTURED))):
        return None
    return _force_payment(world, payment, status=world.rng.choice(("cancelled_post_capture", "failed", "cancelled")))


def void_in_part(world: World) -> str | None:
    """Hyperswitch holds less than it did, and says so under the same status."""
    captured = [one for one in world.payments_there(*CAPTURED) if (one["amount_received"] or 0) > 1]
    if not (payment := _any(world, captured)):
        return None
    return _force_payment(world, payment, amount_received=world.rng.randint(1, payment["amount_received"] - 1))


def change_currency(world: World) -> str | None:
    """What is captured is another currency now, or the first one again, and another amount."""
    if not (payment := _any(world, world.payments_there(*CAPTURED))):
        return None
    currency = "EUR" if payment["currency"] == ABROAD else ABROAD
    amount = world.rng.choice((payment["amount"], payment["amount"] // 2 or 1, payment["amount"] + 1_00))
    return _force_payment(world, payment, currency=currency, amount_received=amount)


def review_payment(world: World) -> str | None:
    """Hyperswitch's staff look into a payment that is captured, or was voided."""
    voided = [one for one in world.payments_there("failed", *VOIDED) if one["connector_transaction_id"]]
    if not (payment := _any(world, [*_with_amount(world, *CAPTURED), *voided])):
        return None
    amount = payment["amount_received"] or payment["amount"]
    return _force_payment(world, payment, status=world.rng.choice(("review", "conflicted")), amount_received=amount)


def succeed_without_amount(world: World) -> str | None:
    """The buyer has paid, or pays again, and Hyperswitch does not say how much: it holds nothing by its own books."""
    payable = world.payments_there(*PAYABLE, "processing", "cancelled_post_capture")
    if not (payment := _any(world, payable)):
        return None
    return _force_payment(world, payment, status="succeeded", amount_received=None)


def report_amount(world: World) -> str | None:
    """Hyperswitch says after all how much of a success was received."""
    missing = [one for one in world.payments_there("succeeded") if one["amount_received"] is None]
    if not (payment := _any(world, missing)):
        return None
    return _force_payment(world, payment, amount_received=world.rng.choice((payment["amount"], payment["amount"] + 1)))


def _with_amount(world: World, *statuses: str) -> list[dict[str, Any]]:
    return [payment for payment in world.payments_there(*statuses) if payment["amount_received"]]


def _force_payment(world: World, payment: dict[str, Any], **fields: Any) -> str:
    world.sandbox.control(f"payments/{payment['payment_id']}", **fields)
    world.entered.pop(payment["payment_id"], None)
    return f"{payment['payment_id']} {fields}"


# Refunds


def settle_refund(world: World) -> str | None:
    """The bank's answer to up to two refunds: mostly yes."""
    refunds = [one for one in world.remote("refunds") if one["status"] in ("pending", "review")][:2]
    answers = [(one, world.rng.choice(("succeeded", "succeeded", "failed"))) for one in refunds]
    return "; ".join(_force_refund(world, one, status=status) for one, status in answers) or None


def settle_refund_otherwise(world: World) -> str | None:
    """It succeeds with another amount than was asked for, as far as the provider has it."""
    if not (refund := _any(world, _refunds(world, "pending"))):
        return None
    amount = max(1, refund["amount"] - world.rng.randint(1, refund["amount"]))
    return _force_refund(world, refund, status="succeeded", amount=amount)


def review_refund(world: World) -> str | None:
    refund = _any(world, _refunds(world, "pending"))
    return _force_refund(world, refund, status="review") if refund else None


def return_refund(world: World) -> str | None:
    """The buyer's bank returns it."""
    refund = _any(world, _refunds(world, "succeeded"))
    return _force_refund(world, refund, status="failed") if refund else None


def succeed_after_all(world: World) -> str | None:
    """A failed refund was paid after all, while the provider still has the money."""
    payments = {one["payment_id"]: one for one in world.payments_there(*CAPTURED)}
    failed = [one for one in _refunds(world, "failed") if one["payment_id"] in payments]
    covered = [one for one in failed if one["amount"] <= world.refundable_there(payments[one["payment_id"]])]
    refund = _any(world, covered)
    return _force_refund(world, refund, status="succeeded") if refund else None


def refund_at_dashboard(world: World, **fields: Any) -> str | None:
    payments = [one for one in world.payments_there(*CAPTURED) if world.refundable_there(one) > 0]
    if not (payment := _any(world, payments)):
        return None
    left = world.refundable_there(payment)
    amount = world.rng.choice((left, world.rng.randint(1, left)))
    params = {"amount": amount, "status": world.rng.choice(("succeeded", "succeeded", "pending")), **fields}
    world.sandbox.control("dashboard_refunds", payment_id=payment["payment_id"], **params)
    return f"{payment['payment_id']} {params}"


def refund_abroad(world: World) -> str | None:
    return refund_at_dashboard(world, currency=ABROAD)


def _refunds(world: World, status: str) -> list[dict[str, Any]]:
    return [one for one in world.remote("refunds") if one["status"] == status]


def _force_refund(world: World, refund: dict[str, Any], **fields: Any) -> str:
    world.sandbox.control(f"refunds/{refund['refund_id']}", **fields)
    return f"{refund['refund_id']} {fields}"


# Disputes


def dispute(world: World, **fields: Any) -> str | None:
    """A claim or an inquiry, of all, of a part, or of more than was paid."""
    if not (payment := _any(world, _with_amount(world, *CAPTURED))):
        return None
    received = payment["amount_received"]
    amount = world.rng.choice((received, received // 2 or 1, received + 5_00))
    stage = world.rng.choice(("dispute", "dispute", "pre_dispute"))
    params = {"amount": amount, "stage": stage, "dispute_id": f"dp_{world.number():03}", **fields}
    world.sandbox.control("disputes", payment_id=payment["payment_id"], **params)
    return f"{payment['payment_id']} {params}"


def dispute_abroad(world: World) -> str | None:
    return dispute(world, currency=ABROAD)


def dispute_a_cent(world: World) -> str | None:
    return dispute(world, amount=1, stage="dispute")


def decide_dispute(world: World) -> str | None:
    """The next news of a dispute; a bank may go back to an earlier one."""
    if not (one := _any(world, world.remote("disputes"))):
        return None
    status = f"dispute_{world.rng.choice(DECISIONS)}"
    world.sandbox.control(f"disputes/{one['dispute_id']}", status=status, stage="dispute")
    return f"{one['dispute_id']} {status}"


def change_dispute(world: World) -> str | None:
    if not (one := _any(world, world.remote("disputes"))):
        return None
    amount = world.rng.randint(1, 2 * int(one["amount"]))
    currency = world.rng.choice((one["currency"], one["currency"], "EUR", ABROAD))
    world.sandbox.control(f"disputes/{one['dispute_id']}", amount=amount, currency=currency)
    return f"{one['dispute_id']} {amount} {currency}"


# Faults and Stripe


def break_hyperswitch(world: World) -> str:
    return _break(world, HYPERSWITCH_PATHS)


def break_stripe(world: World) -> str:
    return _break(world, STRIPE_PATHS)


def _break(world: World, paths: tuple[str, ...]) -> str:
    """The next call or two time out, break off, or are answered 429 or 5xx, before or after the effect."""
    fault, when = world.rng.choice(("drop", "status", "half_body", "html")), world.rng.choice(("before", "after"))
    fields: dict[str, Any] = {"when": when, "times": world.rng.randint(1, 2)}
    if fault == "status":
        fields["status"] = world.rng.choice((429, 500, 503)) if when == "before" else 500
    path = world.rng.choice(paths)
    world.sandbox.fault(fault, path, **fields)
    return f"{fault} {path} {fields}"


def reverse_at_dashboard(world: World) -> str | None:
    transfers = [one for one in world.remote("transfers") if one["amount_reversed"] < one["amount"]]
    if not (transfer := _any(world, transfers)):
        return None
    amount = world.rng.randint(1, transfer["amount"] - transfer["amount_reversed"])
    world.sandbox.control("balances", account=transfer["destination"], amount_minor=LARGE)
    world.sandbox.control(f"transfers/{transfer['id']}/reverse", amount=amount)
    return f"{transfer['id']} {amount}"


def change_account(world: World) -> str:
    account = world.rng.choice(list(ConnectedAccount.objects.order_by("pk")))
    status = world.rng.choice(("active", "active", "inactive"))
    world.sandbox.control(f"accounts/{account.stripe_account_id}", transfers=status)
    return f"{account.stripe_account_id} {status}"


def drain_balance(world: World) -> str:
    """A seller is paid out, or the platform is out of money."""
    owner, name = world.rng.choice(list(world.balances()))
    world.has_drained = True
    world.sandbox.control("balances", account=owner, amount_minor=0)
    return name


def fill_balances(world: World) -> str:
    for owner, _ in world.balances():
        world.sandbox.control("balances", account=owner, amount_minor=LARGE * 100)
    return "all"


def _any(world: World, objects: list[dict[str, Any]]) -> Any:
    return world.rng.choice(objects) if objects else None
