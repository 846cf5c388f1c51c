"""Payments, refunds and disputes in memory, and on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.clock import stamp
from sandbox.exchange import Json
from sandbox.settings import CONNECTOR_ID, MERCHANT_ID, PROFILE_ID

CONNECTOR = "stripe_test"

# In the server's order; every key is present in every answer, mostly as null.
_PAYMENT_KEYS = """
  payment_id merchant_id status amount net_amount shipping_cost amount_capturable amount_received
  processor_merchant_id initiator sdk_authorization connector state_metadata client_secret created
  modified_at connector_customer_id currency customer_id customer description refunds disputes attempts
  captures mandate_id mandate_data setup_future_usage off_session capture_on capture_method
  payment_method payment_method_data payment_token shipping billing order_details email name phone
  return_url authentication_type statement_descriptor_name statement_descriptor_suffix next_action
  cancellation_reason error_code error_message unified_code unified_message error_details
  payment_experience payment_method_type connector_label business_country business_label
  business_sub_label allowed_payment_method_types manual_retry_allowed connector_transaction_id
  frm_message metadata connector_metadata connector_response_metadata feature_metadata reference_id
  payment_link profile_id surcharge_details applied_offer attempt_count merchant_decision
  merchant_connector_id incremental_authorization_allowed authorization_count incremental_authorizations
  external_authentication_details external_3ds_authentication_attempted expires_on fingerprint
  browser_info payment_channel payment_method_id network_transaction_id network_transaction_link_id
  payment_method_status updated split_payments frm_metadata extended_authorization_applied
  extended_authorization_last_applied_at request_extended_authorization capture_before
  merchant_order_reference_id order_tax_amount connector_mandate_id card_discovery force_3ds_challenge
  force_3ds_challenge_trigger issuer_error_code issuer_error_message is_iframe_redirection_enabled
  whole_connector_response enable_partial_authorization enable_overcapture is_overcapture_enabled
  network_details is_stored_credential mit_category billing_descriptor tokenization
  partner_merchant_identifier_details payment_method_tokenization_details installment_options
  installment_data sender_payment_instrument_id
"""
PAYMENT_KEYS = _PAYMENT_KEYS.split()

_ECHOED_KEYS = """
  description setup_future_usage off_session order_details email name phone return_url
  authentication_type statement_descriptor_name statement_descriptor_suffix business_country
  business_label allowed_payment_method_types metadata shipping billing shipping_cost order_tax_amount
  merchant_order_reference_id surcharge_details is_stored_credential mit_category billing_descriptor
  force_3ds_challenge frm_metadata
"""
ECHOED_KEYS = _ECHOED_KEYS.split()

# What the bank, the network and Hyperswitch say about a decline.
ERROR_DETAILS = ("issuer_code", "advice_code", "standardised_code", "recommended_action")

_DISPUTE_SUMMARY_KEYS = """
  dispute_id dispute_stage dispute_status connector_status connector_dispute_id connector_reason amount
  connector_reason_code challenge_required_by connector_created_at connector_updated_at created_at
"""
DISPUTE_SUMMARY_KEYS = _DISPUTE_SUMMARY_KEYS.split()


@dataclass
class Customer:
    """A buyer's saved payment methods, and the outcome of an off-session charge."""

    customer_id: str
    payment_methods: list[str] = field(default_factory=list)
    off_session_outcome: str = "succeeded"
    error_code: str = "insufficient_funds"
    error_message: str = "Your card has insufficient funds."
    error_details: Json = field(default_factory=dict)  # as ERROR_DETAILS names them
    card_expires: str = "12/2034"  # of the card that the customer uses on a payment page


@dataclass
class Payment:
    payment_id: str
    amount: int
    currency: str
    params: Json  # the create call, as sent
    client_secret: str
    created_at: datetime
    expires_at: datetime
    status: str = "requires_payment_method"
    modified_at: datetime | None = None
    amount_received: int | None = None
    amount_capturable: int = 0
    attempts: int = 1
    link: Json | None = None
    customer_id: str | None = None
    payment_method: str | None = None
    payment_method_id: str | None = None
    connector_transaction_id: str | None = None
    cancellation_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_details: Json = field(default_factory=dict)
    card_expires: str = ""  # month/year
    next_action: Json | None = None
    booked_amount: int = 0  # captured according to the ground truth, in `booked_currency`
    booked_currency: str = ""
    when_synced: Json | None = None  # a change that only a forced sync reveals
    refunds: list[Refund] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    @property
    def net_amount(self) -> int:
        surcharge = self.params.get("surcharge_details") or {}
        extra = [self.params.get("shipping_cost"), self.params.get("order_tax_amount")]
        extra += [surcharge.get("surcharge_amount"), surcharge.get("tax_amount")]
        return self.amount + sum(part for part in extra if isinstance(part, int))

    def has_expired(self, at: datetime) -> bool:
        return at >= self.expires_at

    def as_json(self) -> Json:
        updated_at = stamp(self.modified_at or self.created_at)
        has_attempt = self.connector_transaction_id is not None or self.error_code is not None
        body: Json = dict.fromkeys(PAYMENT_KEYS)
        body.update({name: self.params[name] for name in ECHOED_KEYS if name in self.params})
        body.update(
            payment_id=self.payment_id,
            merchant_id=MERCHANT_ID,
            processor_merchant_id=MERCHANT_ID,
            profile_id=self.params.get("profile_id", PROFILE_ID),
            status=self.status,
            amount=self.amount,
            net_amount=self.net_amount,
            amount_capturable=self.amount_capturable,
            amount_received=self.amount_received,
            currency=self.currency,
            client_secret=self.client_secret,
            created=stamp(self.created_at),
            modified_at=updated_at,
            updated=updated_at,
            expires_on=stamp(self.expires_at),
            customer_id=self.customer_id,
            customer=self._customer(),
            capture_method=self.params.get("capture_method", "automatic"),
            payment_link=self.link,
            attempt_count=self.attempts,
            payment_method=self.payment_method,
            payment_method_type="credit" if self.payment_method == "card" else None,
            payment_method_id=self.payment_method_id,
            payment_method_status="active" if self.payment_method_id else None,
            connector=CONNECTOR if has_attempt else None,
            merchant_connector_id=CONNECTOR_ID if has_attempt else None,
            connector_transaction_id=self.connector_transaction_id,
            reference_id=self.connector_transaction_id,
            cancellation_reason=self.cancellation_reason,
            next_action=self.next_action if self.status == "requires_customer_action" else None,
            payment_method_data=self._card(),
            **self._error(),
        )
        return body

    def _card(self) -> Json | None:
        if not self.card_expires:
            return None
        month, _, year = self.card_expires.partition("/")
        return {"card": {"last4": "4242", "card_exp_month": month, "card_exp_year": year}, "billing": None}

    def _customer(self) -> Json | None:
        if self.customer_id is None:
            return None
        customer = self.params.get("customer") or {}
        names = ("name", "email", "phone", "phone_country_code")
        return {"id": self.customer_id, **{name: customer.get(name, self.params.get(name)) for name in names}}

    def _error(self) -> Json:
        has_error = self.error_code is not None
        return {
            "error_code": self.error_code,
            "error_message": self.error_message,
            "unified_code": "UE_9000" if has_error else None,
            "unified_message": "Something went wrong" if has_error else None,
            "manual_retry_allowed": True if self.status == "failed" else None,
            "issuer_error_code": self.error_details.get("issuer_code") if has_error else None,
            "error_details": self._error_details() if has_error and self.error_details else None,
        }

    def _error_details(self) -> Json:
        details = self.error_details
        network = {"name": "Visa", "advice_code": details.get("advice_code"), "advice_message": None}
        return {
            "unified_details": {
                "standardised_code": details.get("standardised_code"),
                "recommended_action": details.get("recommended_action"),
            },
            "issuer_details": {"code": details.get("issuer_code"), "message": None, "network_details": network},
            "connector_details": {"code": self.error_code, "message": self.error_message},
        }


@dataclass
class Refund:
    refund_id: str
    payment_id: str
    amount: int
    currency: str
    created_at: datetime
    updated_at: datetime
    profile_id: str
    status: str = "pending"
    reason: str | None = None
    metadata: Json | None = None
    split_refunds: Json | None = None
    error_code: str | None = None
    error_message: str | None = None
    connector_refund_id: str | None = None
    booked_amount: int = 0
    when_synced: Json | None = None

    def as_json(self) -> Json:
        has_error = self.error_code is not None
        return {
            "refund_id": self.refund_id,
            "payment_id": self.payment_id,
            "amount": self.amount,
            "currency": self.currency,
            "status": self.status,
            "reason": self.reason,
            "metadata": self.metadata,
            "error_message": self.error_message,
            "error_code": self.error_code,
            "unified_code": "UE_9000" if has_error else None,
            "unified_message": "Something went wrong" if has_error else None,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "connector": CONNECTOR,
            "profile_id": self.profile_id,
            "merchant_connector_id": CONNECTOR_ID,
            "split_refunds": self.split_refunds,
            "issuer_error_code": None,
            "issuer_error_message": None,
            "raw_connector_response": None,
            "connector_refund_id": self.connector_refund_id,
        }


@dataclass
class Dispute:
    dispute_id: str
    payment_id: str
    attempt_id: str
    amount: int
    currency: str
    created_at: datetime
    profile_id: str
    stage: str = "dispute"
    status: str = "dispute_opened"
    reason: str | None = "fraudulent"
    reason_code: str | None = "10.4"
    challenge_days: int = 21
    is_already_refunded: bool = False
    booked_amount: int = 0  # taken according to the ground truth, in `booked_currency`
    booked_currency: str = ""

    def as_json(self) -> Json:
        return {
            "dispute_id": self.dispute_id,
            "payment_id": self.payment_id,
            "attempt_id": self.attempt_id,
            "amount": str(self.amount),  # a decimal string of minor units, unlike all other amounts
            "currency": self.currency,
            "dispute_stage": self.stage,
            "dispute_status": self.status,
            "connector": CONNECTOR,
            "connector_status": self.status.removeprefix("dispute_").upper(),
            "connector_dispute_id": f"dp_{self.dispute_id.removeprefix('dp_')}_connector",
            "connector_reason": self.reason,
            "connector_reason_code": self.reason_code,
            "challenge_required_by": stamp(self.created_at + timedelta(days=self.challenge_days)),
            "connector_created_at": None,
            "connector_updated_at": None,
            "created_at": stamp(self.created_at),
            "profile_id": self.profile_id,
            "merchant_connector_id": CONNECTOR_ID,
            "is_already_refunded": self.is_already_refunded,
        }

    def summary(self) -> Json:
        """The shorter form inside a payment."""
        return {name: value for name, value in self.as_json().items() if name in DISPUTE_SUMMARY_KEYS}
