"""Stripe's gate, where our key is asked for."""

from veza.core.provider_health import ProviderHealth

HEALTH = ProviderHealth("stripe", "STRIPE_SECRET_KEY")
