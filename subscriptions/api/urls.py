from django.urls import path

from subscriptions.api.plans import Plans

urlpatterns = [path("subscriptions/plans", Plans.as_view(), name="plans")]
