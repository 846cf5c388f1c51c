from django.urls import path

from connect.api.accounts import Account
from connect.api.payouts import Payouts
from connect.api.statement import Statement
from connect.api.views import BalanceView, Transfers
from connect.api.webhook import stripe_webhook

urlpatterns = [
    path("webhooks/stripe", stripe_webhook, name="stripe-webhook"),
    path("connect/account", Account.as_view(), name="connect-account"),
    path("connect/transfers", Transfers.as_view(), name="connect-transfers"),
    path("connect/balance", BalanceView.as_view(), name="connect-balance"),
    path("connect/statement", Statement.as_view(), name="connect-statement"),
    path("connect/payouts", Payouts.as_view(), name="connect-payouts"),
]
