from django.urls import path

from connect.api.views import BalanceView, Transfers

urlpatterns = [
    path("connect/transfers", Transfers.as_view(), name="connect-transfers"),
    path("connect/balance", BalanceView.as_view(), name="connect-balance"),
]
