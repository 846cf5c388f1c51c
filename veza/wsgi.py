"""The web process. It refuses to start in production with a setting missing: gunicorn runs no checks by itself."""

import os

from django.core.wsgi import get_wsgi_application

from veza.checks import stop_if_broken

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veza.settings")
stop_if_broken()
application = get_wsgi_application()
