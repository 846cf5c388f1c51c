"""An honest double of Hyperswitch and Stripe Connect, in a process of its own: `python -m sandbox`.

It moves no money. It imports nothing of the rest of Veza and is imported by nobody: whoever wants it
talks HTTP to it.
"""
