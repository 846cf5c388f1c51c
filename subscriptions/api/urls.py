from django.urls import path

from subscriptions.api.creators import Creator
from subscriptions.api.distribution import Eligibility, Submissions
from subscriptions.api.invoices import Invoices
from subscriptions.api.plans import Plans
from subscriptions.api.subscriptions import Cancel, Change, Complete, MySubscription, PaymentMethod, Subscribe
from subscriptions.api.upgrades import Upgrade, UpgradePreview

urlpatterns = [
    path("subscriptions/plans", Plans.as_view(), name="plans"),
    path("subscriptions/invoices", Invoices.as_view(), name="invoices"),
    path("subscriptions/subscribe", Subscribe.as_view(), name="subscribe"),
    path("subscriptions/complete/<uuid:pk>", Complete.as_view(), name="complete-subscription"),
    path("subscriptions/cancel", Cancel.as_view(), name="cancel-subscription"),
    path("subscriptions/change", Change.as_view(), name="change-subscription"),
    path("subscriptions/upgrade", Upgrade.as_view(), name="upgrade-subscription"),
    path("subscriptions/upgrade/preview", UpgradePreview.as_view(), name="upgrade-preview"),
    path("subscriptions/payment-method", PaymentMethod.as_view(), name="payment-method"),
    path("me/subscription", MySubscription.as_view(), name="my-subscription"),
    path("me/creator", Creator.as_view(), name="become-creator"),
    path("distribution/eligibility", Eligibility.as_view(), name="distribution-eligibility"),
    path("distribution/submit", Submissions.as_view(), name="distribution-submit"),
]
