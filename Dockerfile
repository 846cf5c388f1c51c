# syntax=docker/dockerfile:1

# Build stage: compilers and caches stay here.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/production.lock /tmp/production.lock
RUN python -m venv /opt/veza && /opt/veza/bin/pip install --require-hashes --requirement /tmp/production.lock
ENV PATH=/opt/veza/bin:$PATH
WORKDIR /app
COPY . /app
# Settings import with an empty environment, so no layer needs or contains a secret.
RUN python -m compileall -q /app && python manage.py collectstatic --noinput

# Runtime stage: no pip in the environment, no compiler, nothing that the user can write to.
FROM python:3.13-slim-bookworm
ENV PATH=/opt/veza/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=veza.settings \
    VEZA_ENVIRONMENT=
# The environment is named by whoever starts the image: started without, it refuses, rather than run as a developer's.
COPY --from=build /opt/veza /opt/veza
COPY --from=build /app /app
WORKDIR /app
# A numeric user: an orchestrator can then verify that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "--config", "gunicorn.conf.py"]
