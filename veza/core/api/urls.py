from django.urls import path

from veza.core.api.auth import Login, Refresh

urlpatterns = [
    path("auth/login", Login.as_view(), name="login"),
    path("auth/refresh", Refresh.as_view(), name="refresh"),
]
