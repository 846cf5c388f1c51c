"""Accounts, transfers, reversals and payouts in memory, and on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.exchange import Json

NEWEST_REVERSALS = 10


@dataclass
class Account:
    id: str
    created_at: int
    country: str
    default_currency: str
    email: str | None
    type: str
    controller: Json
    metadata: dict[str, str]
    capabilities: dict[str, str]  # name -> active | inactive | pending
    requested_at: int
    details_submitted: bool = False
    payouts_enabled: bool = False
    charges_enabled: bool = False
    currently_due: list[str] = field(default_factory=list)
    past_due: list[str] = field(default_factory=list)
    disabled_reason: str | None = None
    revoked: bool = False  # the seller revoked the platform's access: 403
    closed: bool = False  # no longer a valid destination
    may_go_negative: bool = False  # reversals may exceed the balance
    service_agreement: str = "full"

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "object": "account",
            "business_profile": None,
            "business_type": None,
            "capabilities": dict(self.capabilities),
            "charges_enabled": self.charges_enabled,
            "controller": self.controller,
            "country": self.country,
            "created": self.created_at,
            "default_currency": self.default_currency,
            "details_submitted": self.details_submitted,
            "email": self.email,
            "external_accounts": _list([], f"/v1/accounts/{self.id}/external_accounts"),
            "future_requirements": _requirements(),
            "metadata": self.metadata,
            "payouts_enabled": self.payouts_enabled,
            "requirements": self.requirements(),
            "settings": None,
            "tos_acceptance": {
                "date": None,
                "ip": None,
                "service_agreement": self.service_agreement,
                "user_agent": None,
            },
            "type": self.type,
        }

    def requirements(self) -> Json:
        requirements_body = _requirements()
        requirements_body.update(
            currently_due=self.currently_due + self.past_due,
            eventually_due=self.currently_due + self.past_due,
            past_due=self.past_due,
            disabled_reason=self.disabled_reason,
        )
        return requirements_body

    def capability_as_json(self, name: str) -> Json:
        return {
            "id": name,
            "object": "capability",
            "account": self.id,
            "future_requirements": _requirements(),
            "requested": name in self.capabilities,
            "requested_at": self.requested_at if name in self.capabilities else None,
            "requirements": self.requirements(),
            "status": self.capabilities.get(name, "unrequested"),
        }


@dataclass
class Onboarding:
    """One account link: single use, with an expiry time."""

    token: str
    account_id: str
    return_url: str
    refresh_url: str
    expires_at: int
    is_used: bool = False


@dataclass
class Transfer:
    id: str
    amount: int
    currency: str
    destination: str
    created_at: int
    balance_transaction: str
    destination_payment: str
    description: str | None
    metadata: dict[str, str]
    source_transaction: str | None
    source_type: str
    transfer_group: str | None
    amount_reversed: int = 0
    reversals: list[Json] = field(default_factory=list)  # oldest first

    def remaining(self) -> int:
        return self.amount - self.amount_reversed

    def as_json(self) -> Json:
        newest = self.reversals[::-1][:NEWEST_REVERSALS]
        reversals = _list(newest, f"/v1/transfers/{self.id}/reversals")
        reversals["has_more"] = len(self.reversals) > NEWEST_REVERSALS
        reversals["total_count"] = len(self.reversals)
        return {
            "id": self.id,
            "object": "transfer",
            "amount": self.amount,
            "amount_reversed": self.amount_reversed,
            "balance_transaction": self.balance_transaction,
            "created": self.created_at,
            "currency": self.currency,
            "description": self.description,
            "destination": self.destination,
            "destination_payment": self.destination_payment,
            "livemode": False,
            "metadata": self.metadata,
            "reversals": reversals,
            "reversed": self.remaining() == 0,  # false after a partial reversal
            "source_transaction": self.source_transaction,
            "source_type": self.source_type,
            "transfer_group": self.transfer_group,
        }


@dataclass
class Payout:
    id: str
    owner: str | None
    amount: int
    currency: str
    created_at: int
    method: str
    description: str | None
    metadata: dict[str, str]
    statement_descriptor: str | None
    balance_transaction: str
    destination: str
    status: str = "pending"
    failure_code: str | None = None
    failure_message: str | None = None
    failure_balance_transaction: str | None = None

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "object": "payout",
            "amount": self.amount,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": self.created_at + 2 * 86_400,
            "automatic": False,
            "balance_transaction": self.balance_transaction,
            "created": self.created_at,
            "currency": self.currency,
            "description": self.description,
            "destination": self.destination,
            "failure_balance_transaction": self.failure_balance_transaction,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "livemode": False,
            "metadata": self.metadata,
            "method": self.method,
            "original_payout": None,
            "payout_method": None,
            "reconciliation_status": "not_applicable",
            "reversed_by": None,
            "source_type": "card",
            "statement_descriptor": self.statement_descriptor,
            "status": self.status,
            "trace_id": None,
            "type": "bank_account",
        }


def _list(data: list[Any], url: str) -> Json:
    return {"object": "list", "data": data, "has_more": False, "url": url}


def _requirements() -> Json:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }
