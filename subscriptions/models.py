"""Plans. Amounts are minor units of `currency`."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.models import KeyedRow


class Plan(KeyedRow):
    """What a creator may subscribe to. A price of zero is a free plan."""

    class Interval(models.TextChoices):
        MONTH = "month"
        YEAR = "year"

    name = models.CharField(max_length=60, unique=True)
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=5, choices=Interval, default=Interval.MONTH)
    trial_days = models.PositiveSmallIntegerField(default=0)
    can_sell_on_marketplace = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(price_minor__gte=0), name="plan_price_not_negative"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="plan_currency_code"),
        ]
