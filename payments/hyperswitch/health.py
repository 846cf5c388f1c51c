"""Whether Hyperswitch is reachable and accepts our key."""

from veza.core.provider_health import ProviderHealth

HEALTH = ProviderHealth("hyperswitch", "HYPERSWITCH_API_KEY")
