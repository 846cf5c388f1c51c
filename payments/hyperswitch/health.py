"""Hyperswitch's gate, where our key is asked for."""

from veza.core.provider_health import ProviderHealth

HEALTH = ProviderHealth("hyperswitch", "HYPERSWITCH_API_KEY")
