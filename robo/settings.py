"""The one settings file. Every difference between deployments is an environment variable, each
named and explained in `.env.example`. No secret has a default: without one Django refuses to sign.
"""

from pathlib import Path

import environ

from robo import localservices

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")

# `make demo` keeps its state and its own `demo.env` (a generated secret) here, so that
# `manage.py` commands work beside a running demo without any further set-up.
RUNTIME_DIR = Path(env("EVENKEEL_RUNTIME_DIR", default=str(BASE_DIR / ".robo")))
env.read_env(RUNTIME_DIR / "demo.env")
LOCAL = localservices.addresses(RUNTIME_DIR)

# --- What kind of deployment this is ------------------------------------------------------------
DEBUG = env.bool("DJANGO_DEBUG", default=False)
DEMO = env.bool("EVENKEEL_DEMO", default=False)  # a simulated market that people may move
# The demo's people share one password, which its sign-in page shows to everybody.
DEMO_PASSWORD = env("EVENKEEL_DEMO_PASSWORD", default="level-the-keel") if DEMO else ""
SECRET_KEY = env("DJANGO_SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])
SITE_IS_HTTPS = env.bool("EVENKEEL_HTTPS", default=not (DEBUG or DEMO))

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "rest_framework",
    "robo.common",
    "accounts",
    "portfolios",
    "rebalancer",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "robo.common.middleware.PrivatePagesMiddleware",
]

ROOT_URLCONF = "robo.urls"
WSGI_APPLICATION = "robo.wsgi.application"
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
                "robo.common.context_processors.deployment",
            ],
            "builtins": ["robo.common.templatetags.figures"],
        },
    }
]

# --- Data ---------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=LOCAL.database_url)}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env("CACHE_URL", default=LOCAL.cache_url),
    }
}
# Where a feed leaves price files, in a folder per firm; without it prices are imported by hand.
PRICE_INBOX = Path(env("EVENKEEL_PRICE_INBOX")) if env("EVENKEEL_PRICE_INBOX", default="") else None
# The paper broker keeps its own durable record, apart from our database, as a real broker would.
PAPER_BROKER_PATH = Path(
    env("PAPER_BROKER_PATH", default=str(RUNTIME_DIR / "paper_broker.sqlite3"))
)
PAPER_BROKER_SEED = env.int("PAPER_BROKER_SEED", default=2008)

# --- People -------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.access.PeopleBackend"]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- The browser --------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = Path(env("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
# Browser libraries are served from the packages that ship them: wheels, and node_modules.
STATICFILES_DIRS = [
    BASE_DIR / "robo" / "static",
    *(
        (prefix, BASE_DIR / "node_modules" / folder)
        for prefix, folder in [("bootstrap", "bootstrap/dist"), ("echarts", "echarts/dist")]
        if (BASE_DIR / "node_modules" / folder).is_dir()
    ),
]
WHITENOISE_USE_FINDERS = env.bool("EVENKEEL_SERVE_UNCOLLECTED", default=DEBUG or DEMO)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WHITENOISE_USE_FINDERS
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_IS_HTTPS
SECURE_SSL_REDIRECT = SITE_IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SITE_IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SITE_IS_HTTPS
if env.bool("EVENKEEL_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 30 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# --- Language, time and figures -----------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

# --- API ----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 50,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Evenkeel API",
    "DESCRIPTION": "The same operations as the pages, over HTTP.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Celery: the row is the queue; a task is only a nudge to look --------------------------------
CELERY_BROKER_URL = env("CELERY_BROKER_URL", default=LOCAL.broker_url)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 240
CELERY_TASK_SOFT_TIME_LIMIT = 210
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # More than twice the hard time limit, or a slow task would be started a second time.
    "visibility_timeout": env.int("CELERY_VISIBILITY_TIMEOUT", default=600),
    # kombu's own defaults scan for lost tasks only every 100 seconds.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 2,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
# How often beat looks; the demo looks often so that people need not wait. One fixed tick each: what
# is due is decided by rows (policies, checks, orders), never by this table.
TICK_SECONDS = env.int("EVENKEEL_TICK_SECONDS", default=60)
CELERY_BEAT_SCHEDULE = {
    "collect prices": {"task": "portfolios.tasks.collect_prices", "schedule": TICK_SECONDS},
    "look for due checks": {"task": "rebalancer.tasks.find_due_checks", "schedule": TICK_SECONDS},
    "expire": {"task": "rebalancer.tasks.expire_proposals", "schedule": TICK_SECONDS},
    "poll the broker": {"task": "rebalancer.tasks.poll_broker", "schedule": TICK_SECONDS},
    "sweep": {"task": "rebalancer.tasks.sweep", "schedule": TICK_SECONDS},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
}
