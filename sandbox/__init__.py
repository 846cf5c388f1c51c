"""A faithful double of Hyperswitch and Stripe Connect in a separate process: `python -m sandbox`.

It moves no money. It imports nothing from the rest of Veza, and no other package imports it: callers
use HTTP.
"""
