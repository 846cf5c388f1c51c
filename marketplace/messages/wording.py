"""Licences in the reader's language."""

from django.utils.translation import gettext as _

from marketplace.models import LicenseKind, OrderItem
from marketplace.states import LicenseStatus


def license_name(kind: str) -> str:
    """The kind of a licence: `Personal licence`."""
    return {
        LicenseKind.PERSONAL.value: _("Personal licence"),
        LicenseKind.COMMERCIAL.value: _("Commercial licence"),
        LicenseKind.EXCLUSIVE.value: _("Exclusive licence"),
    }[kind]


def license_terms(item: OrderItem) -> str:
    """What the buyer may do with the work: the kind's terms, then the seller's own as they were sold."""
    terms = {
        LicenseKind.PERSONAL.value: _("You may use it for yourself, and not in what you sell or are paid for."),
        LicenseKind.COMMERCIAL.value: _("You may also use it in what you sell or are paid for."),
        LicenseKind.EXCLUSIVE.value: _("You alone may use it, also commercially: it is sold to no other buyer."),
    }[item.license]
    rights = item.rights if isinstance(item.rights, dict) else {}
    return terms + "".join(f" {_granted(str(name), value)}" for name, value in rights.items())


def _granted(name: str, value: object) -> str:
    return _("%(right)s: %(extent)s.") % {"right": _right(name), "extent": _extent(value)}


def _right(name: str) -> str:
    names = {"copies": _("Copies"), "commercial_use": _("Commercial use"), "exclusive": _("Exclusive")}
    return names.get(name) or name.replace("_", " ").capitalize()


def _extent(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


def license_status(status: str) -> str:
    """Whether a licence may be used now."""
    return {
        LicenseStatus.ACTIVE.value: _("Active"),
        LicenseStatus.SUSPENDED.value: _("Suspended"),
        LicenseStatus.REVOKED.value: _("Revoked"),
    }[status]


def order_name(number: str) -> str:
    """An order as a noun phrase: `order 1a2b3c4d`."""
    return _("order %(number)s") % {"number": number}
