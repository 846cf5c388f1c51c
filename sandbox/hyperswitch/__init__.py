"""Hyperswitch v1: payments, refunds, disputes, the hosted payment page, and their webhooks."""
