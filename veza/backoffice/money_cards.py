"""The front page's money: one card for each currency in which money moved within 30 days."""

from dataclasses import dataclass, field
from datetime import datetime

from veza.backoffice.charts import Chart, Step, bars
from veza.backoffice.dashboard import Number, to_list
from veza.backoffice.flows import Flow, Flows, recent_flows
from veza.core.money import format_amount


@dataclass(frozen=True)
class MoneyCard:
    """One currency's tiles and charts."""

    currency: str
    tiles: list[Number]
    charts: list[Chart] = field(default_factory=list)


def money_cards(at: datetime) -> list[MoneyCard]:
    return [_money(flows) for flows in recent_flows(at)]


def _money(flows: Flows) -> MoneyCard:
    code = flows.currency
    months = [Step(f"{day:%d %b}", _in_and_out(flow, code)) for day, flow in flows.days]
    hours = [Step(f"{hour:%H}:00", _in_and_out(flow, code)) for hour, flow in flows.hours]
    charts = [
        bars(f"30 days, {code}", months, label_every=5),
        bars(f"24 hours, {code} (UTC)", hours, label_every=4),
    ]
    return MoneyCard(code, _tiles(flows), charts)


def _tiles(flows: Flows) -> list[Number]:
    day, month, code = flows.day, flows.month, flows.currency
    return [
        _tile("Received", day.received_minor, month.received_minor, code, "payments_payment", status="succeeded"),
        _tile("Refunded", day.refunded_minor, month.refunded_minor, code, "payments_refund", status="succeeded"),
        _tile("Transferred", day.transferred_minor, month.transferred_minor, code, "connect_sellertransfer"),
        _tile("Platform fee", day.fee_minor, month.fee_minor, code, "payments_posting", q="platform_fee"),
    ]


def _in_and_out(flow: Flow, code: str) -> list[tuple[str, int, str]]:
    return [
        ("in", flow.received_minor, f"{format_amount(flow.received_minor, code)} received"),
        ("out", flow.refunded_minor, f"{format_amount(flow.refunded_minor, code)} refunded"),
        ("sent", flow.transferred_minor, f"{format_amount(flow.transferred_minor, code)} to sellers"),
    ]


def _tile(label: str, day: int, month: int, code: str, model: str, *, status: str = "", q: str = "") -> Number:
    filters = {"currency": code, "age": "30d"} | ({"status__exact": status} if status else {}) | ({"q": q} if q else {})
    return Number(
        label, format_amount(month, code), to_list(model, **filters), note=f"{format_amount(day, code)} in 24 hours"
    )
