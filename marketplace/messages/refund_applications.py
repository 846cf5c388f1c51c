"""A refund that support has to decide: received, and declined. Of a granted one the refund itself is told."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.messages.samples import sample_order
from marketplace.messages.wording import order_name
from marketplace.models import RefundApplication
from marketplace.states import RefundApplicationStatus
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day, moment, money
from veza.core.email.messages import Audience, Message


def _load(application_id: UUID) -> tuple[RefundApplication, list[str]]:
    application = RefundApplication.objects.select_related("order").get(pk=application_id)
    titles = application.lines.order_by("item").values_list("item__title", flat=True)
    return application, list(titles)


def _received(application_id: UUID, _occasion: str, /) -> Content | Outdated:
    return _compose_received(*_load(application_id))


def _compose_received(application: RefundApplication, titles: Sequence[str]) -> Content:
    """It stays true whatever is decided: it confirms when the request arrived."""
    if application.due_at is not None:
        text = _("Our support will decide by %(date)s. We will write to you.") % {"date": day(application.due_at)}
    else:
        text = _("Our support will decide, and we will write to you.")
    return Content(
        subject_line=_("Refund request received: %(of)s") % {"of": _order_name(application)},
        headline=_("We received your refund request"),
        amount=money(application.amount_minor, application.currency),
        blocks=[
            Notice(f"{_why(application)} {text}"),
            *_about(application, titles),
            Paragraph(_("No money has moved, and your licences stay valid until then. You can withdraw the request.")),
            Paragraph(_("Keep this e-mail: it confirms when we received the request.")),
        ],
    )


def _declined(application_id: UUID, _occasion: str, /) -> Content | Outdated:
    application, titles = _load(application_id)
    if application.status != RefundApplicationStatus.DECLINED:
        return Outdated(f"The request is {application.status} now.")
    return _compose_declined(application, titles)


def _compose_declined(application: RefundApplication, titles: Sequence[str]) -> Content:
    return Content(
        subject_line=_("Refund declined: %(of)s") % {"of": _order_name(application)},
        headline=_("Your refund request was declined"),
        amount=money(application.amount_minor, application.currency),
        blocks=[
            Notice(_("No money was returned, and your licences stay valid."), "bad"),
            Table([Line(_("Reason"), application.decision_reason)]),
            *_about(application, titles),
            Paragraph(_("If you do not agree, contact our support with the number above.")),
        ],
    )


def _why(application: RefundApplication) -> str:
    if application.why == RefundApplication.Why.EXCLUSIVE:
        return _("You gave back the same exclusive licence before, so our support looks at this request.")
    return _("You have given back many orders in 30 days, so our support looks at this request.")


def _about(application: RefundApplication, titles: Sequence[str]) -> list[Block]:
    return [
        Table(
            [
                Line(_("Requested on"), moment(application.created_at)),
                Line(_("For"), _order_name(application)),
                Line(_("Items"), ", ".join(titles)),
                Line(_("Refund"), application.shown_id),
            ]
        )
    ]


def _order_name(application: RefundApplication) -> str:
    return order_name(application.order.shown_id)


def _sample(status: str) -> tuple[RefundApplication, list[str]]:
    at = timezone.now()
    application = RefundApplication(
        order=sample_order(),
        status=status,
        why=RefundApplication.Why.LIMIT,
        reason="It is not what I expected.",
        amount_minor=60_00,
        currency="EUR",
        due_at=at + timedelta(days=10),
        decision_reason="The works were downloaded in full and used in a publication.",
        created_at=at,
    )
    return application, ["Ink Study No. 4"]


REFUND_APPLICATION_RECEIVED = Message(
    "refund_application_received",
    Audience.BUYER,
    "A buyer requested a refund that support has to decide.",
    _received,
    lambda: _compose_received(*_sample(RefundApplicationStatus.REQUESTED)),
)
REFUND_APPLICATION_DECLINED = Message(
    "refund_application_declined",
    Audience.BUYER,
    "Support declined a refund that a buyer had requested.",
    _declined,
    lambda: _compose_declined(*_sample(RefundApplicationStatus.DECLINED)),
)
