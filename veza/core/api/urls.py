from django.urls import path

from veza.core.api.auth import Login, Logout, Refresh

urlpatterns = [
    path("auth/login", Login.as_view(), name="login"),
    path("auth/refresh", Refresh.as_view(), name="refresh"),
    path("auth/logout", Logout.as_view(), name="logout"),
]
