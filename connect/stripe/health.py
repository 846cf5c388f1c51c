"""Stripe's gate, where our key is asked for."""

from veza.core.gate import Gate

GATE = Gate("stripe", "STRIPE_SECRET_KEY")
