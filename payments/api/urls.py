from django.urls import path

from payments.api.webhook import hyperswitch_webhook

urlpatterns = [path("webhooks/hyperswitch", hyperswitch_webhook, name="hyperswitch-webhook")]
