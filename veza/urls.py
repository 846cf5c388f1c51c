"""Every address and its view."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from marketplace.api.payment_link import OrderPaymentLink
from subscriptions.api.payment_link import PaymentLink
from veza.backoffice.evidence import OrderEvidence
from veza.core.api.middleware import csp_override
from veza.core.email.unsubscribe_page import Unsubscribe
from veza.metrics import metrics
from veza.pages import TranslatedPage
from veza.status import Health, Status

handler400 = "veza.core.api.errors.handler400"
handler403 = "veza.core.api.errors.handler403"
handler404 = "veza.core.api.errors.handler404"
handler500 = "veza.core.api.errors.handler500"

# Swagger UI comes from a library: it writes inline styles and shows images from its style sheet.
docs = csp_override(
    {
        **settings.SECURE_CSP,
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
    }
)(SpectacularSwaggerSplitView.as_view(url_name="schema"))

urlpatterns = [
    path("paid", TranslatedPage.as_view(template_name="paid.html"), name="paid"),
    path("pay/<str:token>", PaymentLink.as_view(), name="subscription-payment"),
    path("pay/order/<str:token>", OrderPaymentLink.as_view(), name="order-payment"),
    path("unsubscribe/<str:token>", Unsubscribe.as_view(), name="unsubscribe"),
    path("connect/returned", TranslatedPage.as_view(template_name="connect_returned.html"), name="connect-returned"),
    path("connect/refresh", TranslatedPage.as_view(template_name="connect_refresh.html"), name="connect-refresh"),
    path("admin/", admin.site.urls),
    path("metrics", metrics, name="metrics"),
    path("api/v1/health", Health.as_view(), name="health"),
    path("api/v1/status", Status.as_view(), name="status"),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs", docs, name="docs"),
    path("api/v1/staff/orders/<uuid:pk>/evidence", OrderEvidence.as_view(), name="staff-order-evidence"),
    path("api/v1/", include("veza.core.api.urls")),
    path("api/v1/", include("payments.api.urls")),
    path("api/v1/", include("subscriptions.api.urls")),
    path("api/v1/", include("marketplace.api.urls")),
    path("api/v1/", include("connect.api.urls")),
]
