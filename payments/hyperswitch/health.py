"""Hyperswitch's gate, where our key is asked for."""

from veza.core.gate import Gate

GATE = Gate("hyperswitch", "HYPERSWITCH_API_KEY")
