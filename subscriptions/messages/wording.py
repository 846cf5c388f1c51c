"""An invoice and its price in the reader's language."""

from django.utils.translation import gettext as _

from payments.messages import PaidFor
from subscriptions.models import Plan, SubscriptionInvoice
from veza.core.email.content import Line, Table
from veza.core.email.formats import day, money, percent


def paid_for(invoice: SubscriptionInvoice) -> PaidFor:
    """The period of an invoice as a noun phrase."""
    about = {"plan": invoice.plan.name, "day": day(invoice.period_start_at)}
    return PaidFor(_("%(plan)s, period from %(day)s") % about)


def price_table(plan: Plan, net_minor: int, tax_minor: int, *, title: str = "", credit_minor: int = 0) -> Table:
    """The price of a period with its tax and total. `net_minor` is what is left of the price after the credit, which
    is before tax.
    """
    tax = _("Tax (%(rate)s)") % {"rate": percent(plan.tax_basis_points)}
    credit = [Line(_("Credit for the rest of your last plan"), money(-credit_minor, plan.currency))]
    return Table(
        [
            Line(_("Price before tax"), money(net_minor + credit_minor, plan.currency)),
            *(credit if credit_minor else []),
            Line(tax, money(tax_minor, plan.currency)),
        ],
        [Line(_("Total"), money(net_minor + tax_minor, plan.currency))],
        title,
    )
