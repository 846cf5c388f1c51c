"""Every setting, read from the environment, in sections. `.env.example` says what each one does.

Importing this with an empty environment works: what is missing is reported by a check, never by an exception here.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from veza.core.durations import parse_duration
from veza.core.logs import logging_config
from veza.core.money import parse_amounts

Value = TypeVar("Value")
BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")


def _parsed(name: str, default: str, parse: Callable[[str], Value]) -> Value:
    """The value of a setting. One that cannot be read stops the start with a sentence, before any request."""
    try:
        return parse(env.str(name, default=default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from None


def duration(name: str, default: str) -> timedelta:
    return _parsed(name, default, parse_duration)


def amounts(name: str, default: str) -> dict[str, int]:
    return _parsed(name, default, parse_amounts)


# --- The process ---
VERSION = "0.1.0"
# development, sandbox (test keys, real providers) or live. Checks refuse a live one with anything missing.
VEZA_ENVIRONMENT = env.str("VEZA_ENVIRONMENT", default="development")
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or "insecure-development-key-change-me-before-anyone-else-sees-this"
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
# How many proxies of ours are in front: that many entries of X-Forwarded-For, from the right, are trusted.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
# A proxy terminates https and says so in this header; the origin of our own forms is PUBLIC_BASE_URL.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
# Prometheus sends it as a bearer token to read /metrics. Without one, only this machine may.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Settings whose default fits a developer's machine only, and that were set: the start-up checks need to know.
SET_EXPLICITLY = frozenset({"DATABASE_URL", "TRUSTED_PROXIES"} & os.environ.keys())
ROOT_URLCONF = "veza.urls"
WSGI_APPLICATION = "veza.wsgi.application"

INSTALLED_APPS = [
    "veza.apps.WiringConfig",
    "veza.core",
    "payments",
    "subscriptions",
    "marketplace",
    "connect",
    "veza.backoffice",
    "veza.backoffice.apps.BackofficeAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "veza.core.api.middleware.RequestIdMiddleware",
    "veza.core.api.middleware.LeanDoorMiddleware",
    "veza.core.api.middleware.MaintenanceMiddleware",
    "veza.core.api.middleware.BodyLengthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "veza.core.api.middleware.ContentSecurityPolicyMiddleware",
    "veza.core.api.middleware.PrintableAddressMiddleware",
    "veza.core.api.middleware.NoStoreMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---
# A connection is reused for a minute; a statement, a lock and an idle transaction all have a timeout.
_TIMEOUTS = {
    "options": "-c statement_timeout=15s -c lock_timeout=3s -c idle_in_transaction_session_timeout=30s",
    # For a database whose machine or network is silent: else a connection attempt lasts minutes, and an open one hours.
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Only the statements that ask for it are prepared (veza/core/statements.py), however often another one is sent.
_PREPARED_ON_REQUEST = {"prepare_threshold": 1_000_000_000}
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://veza@127.0.0.1:5432/veza")}
DATABASES["default"] |= {
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
    # Options in the URL, such as sslmode, win.
    "OPTIONS": _TIMEOUTS | _PREPARED_ON_REQUEST | DATABASES["default"].get("OPTIONS", {}),
}
# The role that owns the tables, for `migrate` alone. If empty, DATABASE_URL's own role does.
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: the broker and the cache. Money never depends on it: rows are the queue. ---
REDIS_URL = env.str("REDIS_URL", default="")
# Counts are not worth waiting for, nor is the status page's check.
REDIS_TIMEOUTS = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), retries=0)}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": REDIS_TIMEOUTS | {"serializer": "veza.core.json_cache.JsonSerializer"},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

# --- Celery: beat is the clock, workers sweep. Nothing is ever queued from a web request. ---
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_TIME_LIMIT = 150
CELERY_TASK_SOFT_TIME_LIMIT = 110
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 60
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "unacked_restore_throttle": 1,
    # A sweep that calls for help would otherwise wait for ever for a broker that accepts connections and is silent.
    "socket_connect_timeout": 5,
    "socket_timeout": 5,
}

# --- Hyperswitch: buyers' money ---
HYPERSWITCH_ENABLED = env.bool("HYPERSWITCH_ENABLED", default=False)
HYPERSWITCH_API_KEY = env.str("HYPERSWITCH_API_KEY", default="")
HYPERSWITCH_BASE_URL = env.str("HYPERSWITCH_BASE_URL", default="https://sandbox.hyperswitch.io").rstrip("/")
# One secret, or two separated by a comma while the key is rotated: either is accepted.
HYPERSWITCH_WEBHOOK_SECRETS = [secret for secret in env.list("HYPERSWITCH_WEBHOOK_SECRET", default=[]) if secret]
HYPERSWITCH_PROFILE_ID = env.str("HYPERSWITCH_PROFILE_ID", default="")
HYPERSWITCH_MERCHANT_ID = env.str("HYPERSWITCH_MERCHANT_ID", default="")
HYPERSWITCH_RATE_PER_SECOND = env.int("HYPERSWITCH_RATE", default=60)
HYPERSWITCH_DEADLINE_SECONDS = 15

# --- Stripe Connect: sellers' money ---
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRETS = [secret for secret in env.list("STRIPE_WEBHOOK_SECRET", default=[]) if secret]
STRIPE_BASE_URL = env.str("STRIPE_BASE_URL", default="https://api.stripe.com").rstrip("/")
STRIPE_RATE_PER_SECOND = env.int("STRIPE_RATE", default=80)
# How many calls one worker makes at once. More hides Stripe's latency; STRIPE_RATE still applies.
STRIPE_CALLS_AT_ONCE = env.int("STRIPE_CALLS_AT_ONCE", default=8)
# Where the platform's own account is (veza.E034), and what is requested for sellers' accounts in its region.
STRIPE_PLATFORM_COUNTRY = env.str("STRIPE_PLATFORM_COUNTRY", default="DE")
STRIPE_CAPABILITIES = env.list("STRIPE_CAPABILITIES", default=["transfers", "card_payments"])

# --- The marketplace's rules ---
# The currencies of sellers' offers. One that a provider does not know stops the start (veza.E031).
CURRENCIES = env.list("CURRENCIES", default=["EUR"])
PLATFORM_FEE_BASIS_POINTS = env.int("PLATFORM_FEE_BASIS_POINTS", default=1000)
REFUND_WINDOW = timedelta(days=env.int("REFUND_WINDOW_DAYS", default=14))
# How old a sale has to be before its share may be paid out to the seller's bank. If empty: as old as the refund window
# is long. Finance may set another age for one seller.
_payout_after = env.str("PAYOUT_AFTER", default="")
PAYOUT_AFTER = parse_duration(_payout_after) if _payout_after else REFUND_WINDOW
# How long after the sale its transfer is sent to Stripe.
TRANSFER_DELAY = duration("TRANSFER_DELAY", "0s")
# How much of an item's price a seller may refund while the buyer keeps the licence. 10000 is no limit; at 0 sellers
# refund whole items only.
SELLER_GOODWILL_MAX_BASIS_POINTS = env.int("SELLER_GOODWILL_MAX_BASIS_POINTS", default=5000)
# How many amounts one seller may refund of one payment, of the ten refunds that Hyperswitch makes. 0 is no limit.
SELLER_REFUNDS_PER_PAYMENT = env.int("SELLER_REFUNDS_PER_PAYMENT", default=3)
# How many orders a buyer may give back in 30 days before support decides. 0 is no limit.
SELF_SERVICE_REFUNDS_PER_30_DAYS = env.int("SELF_SERVICE_REFUNDS_PER_30_DAYS", default=10)
# Within which time support decides about such a request, as its buyer is told. At 0s no date is named.
REFUND_REQUEST_DUE = duration("REFUND_REQUEST_DUE", "10d")
# What a card processor collects at least, by the currency it settles in (docs.stripe.com/currencies, "Minimum and
# maximum charge amounts"), in minor units; "off" is no limit. Below it a price is not accepted, nor an order's total.
OFFER_MIN_PRICE = amounts(
    "OFFER_MIN_PRICE",
    "AED:200,AUD:50,BRL:50,CAD:50,CHF:50,CZK:1500,DKK:250,EUR:50,GBP:30,HKD:400,HUF:17500,INR:50,JPY:50,MXN:1000,"
    "MYR:200,NOK:300,NZD:50,PLN:200,RON:200,SEK:300,SGD:50,THB:1000,USD:50",
)
ORDER_MIN_TOTAL = amounts(
    "ORDER_MIN_TOTAL",
    "AED:200,AUD:50,BRL:50,CAD:50,CHF:50,CZK:1500,DKK:250,EUR:50,GBP:30,HKD:400,HUF:17500,INR:50,JPY:50,MXN:1000,"
    "MYR:200,NOK:300,NZD:50,PLN:200,RON:200,SEK:300,SGD:50,THB:1000,USD:50",
)
ONCE_PER_BUYER = env.bool("ONCE_PER_BUYER", default=True)
OPEN_ORDERS_PER_BUYER = env.int("OPEN_ORDERS_PER_BUYER", default=10)
# How long a payment page is valid. Shorter closes unpaid orders sooner; Hyperswitch requires at least a minute.
ORDER_SESSION = duration("ORDER_SESSION", "1h")
# How long after it was placed an order that failed or expired can be paid at its own price; 0s: as long as it is sold.
PAY_AGAIN_WITHIN = duration("PAY_AGAIN_WITHIN", "30d")

# How long after it was imposed a suspension needs review, and how far ahead any review date may be set.
SUSPENSION_REVIEW_AFTER = duration("SUSPENSION_REVIEW_AFTER", "30d")
RESTRICTION_REVIEW_WITHIN = duration("RESTRICTION_REVIEW_WITHIN", "90d")

# --- Subscriptions ---
# The clock of reminders, renewals and retries. Off, trials and periods still end on time, but no subscriber is charged.
SUBSCRIPTION_WORKER_ENABLED = env.bool("SUBSCRIPTION_WORKER_ENABLED", default=True)
SUBSCRIPTION_CHECK_INTERVAL = duration("SUBSCRIPTION_CHECK_INTERVAL", "1m")
SUBSCRIPTION_REMINDER_BEFORE = duration("SUBSCRIPTION_REMINDER_BEFORE", "3d")
# How long after a failed renewal the method is charged again: one retry for each entry, within the grace period.
SUBSCRIPTION_RETRY_AFTER = [
    parse_duration(text) for text in env.list("SUBSCRIPTION_RETRY_AFTER", default=["1d", "3d", "5d"])
]
SUBSCRIPTION_GRACE = duration("SUBSCRIPTION_GRACE", "7d")
SUBSCRIPTION_PROCESSING_GRACE = duration("SUBSCRIPTION_PROCESSING_GRACE", "10d")
SUBSCRIPTION_CARD_WARNING_BEFORE = duration("SUBSCRIPTION_CARD_WARNING_BEFORE", "30d")
# Whether the connector behind Hyperswitch saves a payment method without a payment (a zero-amount set-up). Off, another
# card is saved with the next invoice.
HYPERSWITCH_METHOD_SETUPS = env.bool("HYPERSWITCH_METHOD_SETUPS", default=True)
PRICE_CHANGE_NOTICE = duration("PRICE_CHANGE_NOTICE", "30d")

# --- E-mail ---
# The mail server. If empty, no e-mail is sent: the rows wait.
SMTP_HOST = env.str("SMTP_HOST", default="")
SMTP_PORT = env.int("SMTP_PORT", default=587)
SMTP_USERNAME = env.str("SMTP_USERNAME", default="")
SMTP_PASSWORD = env.str("SMTP_PASSWORD", default="")
# Encrypted from the first byte on port 465, by STARTTLS on any other.
SMTP_TLS = env.bool("SMTP_TLS", default=True)
SMTP_FROM = env.str("SMTP_FROM", default="")
SMTP_FROM_NAME = env.str("SMTP_FROM_NAME", default="Veza")
# Where answers to our e-mails go. If empty, to SMTP_FROM.
SUPPORT_ADDRESS = env.str("SUPPORT_ADDRESS", default="")
SMTP_TIMEOUT_SECONDS = 10
EMAIL_CHECK_INTERVAL = duration("EMAIL_CHECK_INTERVAL", "30s")
# The origins that an e-mail may link to. If empty: PUBLIC_BASE_URL and HYPERSWITCH_BASE_URL.
EMAIL_LINK_ORIGINS = env.list("EMAIL_LINK_ORIGINS", default=[]) or [PUBLIC_BASE_URL, HYPERSWITCH_BASE_URL]
# Who gets the daily digest of open review items. If empty, it is not written.
REVIEW_DIGEST_ADDRESS = env.str("REVIEW_DIGEST_ADDRESS", default="")
# The language of the digest: en or fr.
REVIEW_DIGEST_LANGUAGE = env.str("REVIEW_DIGEST_LANGUAGE", default="en")

# --- Workers ---
# How many more workers join one that meets a backlog of transfers, reversals or stuck rows. More drain it sooner, as
# far as the provider's rate lets them, and leave fewer worker processes to the other sweeps meanwhile.
SWEEP_HELPERS = env.int("SWEEP_HELPERS", default=2)
# How often the worker looks for due transfers. Shorter pays sellers sooner and costs one indexed query.
TRANSFER_RETRY_ENABLED = env.bool("TRANSFER_RETRY_ENABLED", default=True)
TRANSFER_RETRY_CHECK_INTERVAL = duration("TRANSFER_RETRY_CHECK_INTERVAL", "1m")
TRANSFER_RETRY_MAX_RETRIES = env.int("TRANSFER_RETRY_MAX_RETRIES", default=5)
TRANSFER_RETRY_BACKOFF_BASE = duration("TRANSFER_RETRY_BACKOFF_BASE", "1m")
TRANSFER_RETRY_BACKOFF_MAX = duration("TRANSFER_RETRY_BACKOFF_MAX", "1h")
# How often the worker looks for due reversals. Shorter reverses transfers sooner and costs one indexed query.
REVERSAL_WORKER_ENABLED = env.bool("REVERSAL_WORKER_ENABLED", default=True)
REVERSAL_CHECK_INTERVAL = duration("REVERSAL_CHECK_INTERVAL", "1m")
REVERSAL_MAX_RETRIES = env.int("REVERSAL_MAX_RETRIES", default=5)
REVERSAL_BACKOFF_BASE = duration("REVERSAL_BACKOFF_BASE", "1m")
REVERSAL_BACKOFF_MAX = duration("REVERSAL_BACKOFF_MAX", "1h")
# How often new payments and refunds without an answer are sent again.
RESEND_CHECK_INTERVAL = duration("RESEND_CHECK_INTERVAL", "15s")
# How often overdue payments and refunds are refreshed from Hyperswitch. Shorter makes up for lost webhooks sooner and
# costs calls within HYPERSWITCH_RATE.
RECONCILE_WORKER_ENABLED = env.bool("RECONCILE_WORKER_ENABLED", default=True)
RECONCILE_INTERVAL = duration("RECONCILE_INTERVAL", "1h")
# When an open payment, a pending refund, and a refund that was sent and never answered count as stuck.
RECONCILE_ORDER_STUCK_AFTER = duration("RECONCILE_ORDER_STUCK_AFTER", "30m")
RECONCILE_REFUND_STUCK_AFTER = duration("RECONCILE_REFUND_STUCK_AFTER", "30m")
RECONCILE_REFUND_ORPHAN_AFTER = duration("RECONCILE_REFUND_ORPHAN_AFTER", "5m")
# After how long a pending refund needs review. At 0s it never does.
REFUND_REVIEW_AFTER = duration("REFUND_REVIEW_AFTER", "4d")
# How long webhook deliveries are stored. Zero or less means the default: a log that is deleted at once proves nothing.
HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS = max(env.int("HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS", default=90), 0) or 90

# --- People ---
AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCESS_TOKEN_LIFETIME = duration("ACCESS_TOKEN_LIFETIME", "10m")
REFRESH_TOKEN_LIFETIME = duration("REFRESH_TOKEN_LIFETIME", "14d")
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "CHECK_REVOKE_TOKEN": True,
    "ISSUER": "veza",
    "AUDIENCE": "veza-api",
}

# --- HTTP API ---
# Rate limits per user (or, before log-in, per address): for all calls, and for those that call a provider.
THROTTLE_ANY = env.str("THROTTLE_ANY", default="1200/min")
THROTTLE_MONEY = env.str("THROTTLE_MONEY", default="120/min")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["veza.core.api.sessions.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["veza.core.api.inputs.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "veza.core.api.pages.NewestFirst",
    "EXCEPTION_HANDLER": "veza.core.api.errors.as_problem",
    "NUM_PROXIES": TRUSTED_PROXIES,
    "DEFAULT_THROTTLE_CLASSES": ["veza.core.api.throttles.Reading"],
    "DEFAULT_THROTTLE_RATES": {"any": THROTTLE_ANY, "money": THROTTLE_MONEY},
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Veza",
    "VERSION": VERSION,
    "DESCRIPTION": "Buy licences, sell licences, request refunds. Amounts are integers in minor units with a "
    "currency beside them. Errors are RFC 9457 problem+json with a stable `code`.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "CurrencyEnum": [(currency, currency) for currency in CURRENCIES],
        "OrderStatus": "marketplace.states.OrderStatus.choices",
        "LicenseStatus": "marketplace.states.LicenseStatus.choices",
        "RefundStatus": "payments.states.RefundStatus.choices",
        "OrderRefundStatus": "marketplace.refund_listing.ListedStatus.choices",
        "SubscriptionStatus": "subscriptions.states.SubscriptionStatus.choices",
        "InvoiceStatus": "subscriptions.states.InvoiceStatus.choices",
        "TransferStatus": "connect.states.TransferStatus.choices",
        "PayoutStatus": "connect.states.PayoutStatus.choices",
        "RestrictionKind": "marketplace.models.sellers.RestrictionKind.choices",
        "AccountStanding": "connect.accounts.AccountStatus.choices",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "veza.core.api.schema.document_problems",
    ],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# --- Pages ---
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
# Pages load scripts, styles and images from us alone. No page has inline scripts or styles.
SECURE_CSP = {
    "default-src": ["'self'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
X_FRAME_OPTIONS = "DENY"
# How long after they logged in staff have to log in again, whatever they did meanwhile.
STAFF_SESSION = duration("STAFF_SESSION", "8h")
# Browsers that came by https once never come by http again, for a year.
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PUBLIC_BASE_URL.startswith("https://") else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_BASE_URL.startswith("https://")

# --- Logs ---
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_config(level=env.str("LOG_LEVEL", default="INFO"))
