"""The web process. It refuses to start in production with a setting missing: gunicorn runs no checks by itself."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veza.settings")
application = get_wsgi_application()
