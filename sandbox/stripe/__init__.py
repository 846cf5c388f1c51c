"""Stripe Connect, seller side: accounts, transfers, reversals, payouts, balances, and their webhooks."""
