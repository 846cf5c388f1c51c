"""Stripe's health: whether it accepts our key, and whether it answers at all."""

from veza.core.provider_health import ProviderHealth

HEALTH = ProviderHealth("stripe", "STRIPE_SECRET_KEY")
