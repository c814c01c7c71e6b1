"""The one settings file. Every difference between deployments is an environment variable, each
named and explained in `.env.example`. No secret has a default: without one Django refuses to sign.
"""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from robo import localservices
from robo.common.schema import list_migrations, name_connection

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
if SECRET_KEY.startswith("demo-") and not DEMO:
    raise ImproperlyConfigured("DJANGO_SECRET_KEY is a demo's: give this installation its own.")
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])
SITE_IS_HTTPS = env.bool("EVENKEEL_HTTPS", default=not (DEBUG or DEMO))

# Which build this process is of: the name that you give it, and the migrations that it comes with.
BUILD = env("EVENKEEL_BUILD", default="unnamed")
OWN_APPS = ["accounts", "portfolios", "rebalancer"]
OWN_MIGRATIONS = list_migrations(BASE_DIR, OWN_APPS)

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
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "rest_framework",
    "robo.common",
    *OWN_APPS,
]

MIDDLEWARE = [
    "robo.common.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "robo.common.middleware.EncryptedApiMiddleware",
    "robo.common.middleware.PageMethodsMiddleware",
    "robo.common.middleware.TenancyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.views.security.SessionLimitsMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.views.security.SecondFactorMiddleware",
    "robo.common.middleware.PrivatePagesMiddleware",
    "accounts.views.support.SupportReadsMiddleware",
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
                "accounts.views.support.permissions",
                "rebalancer.views.controls.trading_stops",
            ],
            "builtins": ["robo.common.templatetags.figures"],
        },
    }
]

# --- Data ---------------------------------------------------------------------------------------
# Each kind of process has a role of its own: the web sees one firm at a time, workers see all, and
# only the owner may change tables. Commands of `manage.py` run as the owner unless told otherwise.
DB_ROLE = env("EVENKEEL_DB_ROLE", default="web")
_one_url = env("DATABASE_URL", default="")  # serves every kind that has none of its own
_DATABASE_URLS = {
    "web": _one_url or LOCAL.app_database_url,
    "worker": env("DATABASE_WORKER_URL", default=_one_url or LOCAL.worker_database_url),
    "owner": env("DATABASE_OWNER_URL", default=_one_url or LOCAL.database_url),
}
if DB_ROLE not in _DATABASE_URLS:
    raise ImproperlyConfigured(f"EVENKEEL_DB_ROLE is web, worker or owner, not {DB_ROLE!r}.")
DATABASES = {"default": env.db_url_config(_DATABASE_URLS[DB_ROLE])}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
# Whoever looks at the connections sees who is there, and who is left of an older build.
DATABASES["default"].setdefault("OPTIONS", {})["application_name"] = name_connection(
    DB_ROLE, BUILD, OWN_MIGRATIONS
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env("CACHE_URL", default=LOCAL.cache_url),
        "OPTIONS": {"serializer": "robo.common.cache.JsonSerializer"},
    }
}
# Where a feed leaves price files, in a folder per firm; without it prices are imported by hand.
PRICE_INBOX = Path(env("EVENKEEL_PRICE_INBOX")) if env("EVENKEEL_PRICE_INBOX", default="") else None
# The paper broker keeps its own durable record, apart from our database, as a real broker would.
PAPER_BROKER_PATH = Path(
    env("PAPER_BROKER_PATH", default=str(RUNTIME_DIR / "paper_broker.sqlite3"))
)
PAPER_BROKER_SEED = env.int("PAPER_BROKER_SEED", default=2008)
# Where `manage.py paper_broker` listens (http://host:port or unix:///socket); empty: in process.
PAPER_BROKER_URL = env("PAPER_BROKER_URL", default="")
# The only hosts that a firm's connection to a broker may name.
BROKER_HOSTS = env.list(
    "EVENKEEL_BROKER_HOSTS", default=["paper-api.alpaca.markets", "api.alpaca.markets"]
)
# FIX sessions keep their sequence numbers and reports here; keep it with the database.
BROKER_STATE_DIR = Path(env("EVENKEEL_BROKER_STATE_DIR", default=str(RUNTIME_DIR / "brokers")))

# --- The journal: what leaves the database, signed, and the key, which must never be inside ---
JOURNAL_CHECKPOINT_DIR = Path(
    env("EVENKEEL_CHECKPOINT_DIR", default=str(RUNTIME_DIR / "checkpoints"))
)
# A demo makes its own key; without one nothing is signed, and verify_journal says so.
JOURNAL_KEY_FILE = env(
    "EVENKEEL_JOURNAL_KEY_FILE", default=str(RUNTIME_DIR / "journal-key.pem") if DEMO else ""
)
# A checkpoint is due after so many seconds or so many entries, while there is something new.
JOURNAL_CHECKPOINT_SECONDS = env.int("EVENKEEL_CHECKPOINT_SECONDS", default=300)
JOURNAL_CHECKPOINT_ENTRIES = env.int("EVENKEEL_CHECKPOINT_ENTRIES", default=1000)
# An entry that waits longer than this to be sealed is an alarm; so is a missing checkpoint.
JOURNAL_BACKLOG_SECONDS_MAX = env.int("EVENKEEL_JOURNAL_BACKLOG_SECONDS", default=300)
# How long the words of an entry are kept at least; the law asks for five years after the year.
JOURNAL_RETENTION_YEARS = env.int("EVENKEEL_JOURNAL_RETENTION_YEARS", default=7)

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
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.operations.passwords.LengthLimitValidator"},
    {"NAME": "accounts.operations.passwords.ContextWordsValidator"},
]
# A second step is required of all staff; the demo's people, whose password is public, go without.
SECOND_FACTOR_REQUIRED = env.bool("EVENKEEL_MFA_REQUIRED", default=not DEMO)
# How long ago somebody must have proved who they are, at most, to approve trades and the like.
STEP_UP_MINUTES = env.int("EVENKEEL_STEP_UP_MINUTES", default=720 if DEMO else 10)
# How long before it takes effect a new version of a text for clients is announced to them.
DISCLOSURE_NOTICE_DAYS = env.int("EVENKEEL_DISCLOSURE_NOTICE_DAYS", default=30)
# How old a risk profile may be while trades are still proposed.
PROFILE_MONTHS_MAX = env.int("EVENKEEL_PROFILE_MONTHS_MAX", default=13)
# When a session ends by itself: after doing nothing, and in any case after so many hours.
IDLE_MINUTES_STAFF = env.int("EVENKEEL_IDLE_MINUTES_STAFF", default=720 if DEMO else 15)
IDLE_MINUTES_CLIENTS = env.int("EVENKEEL_IDLE_MINUTES_CLIENTS", default=720 if DEMO else 30)
SESSION_HOURS = env.int("EVENKEEL_SESSION_HOURS", default=12)

# Sign-in is django-allauth's; its own limits are off because accounts.views.throttle has better
# ones: per person and network, in the database, so that nobody can be locked out by others.
ACCOUNT_ADAPTER = "accounts.views.allauth_adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # the firm's administrator vouches for the address
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = STEP_UP_MINUTES * 60
ACCOUNT_SESSION_REMEMBER = False
MFA_ADAPTER = "accounts.views.allauth_adapter.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "accounts.forms.doors.CodeForm",
    "authenticate_webauthn": "accounts.forms.doors.PasskeyForm",
    "login_webauthn": "accounts.forms.doors.PasskeySignInForm",
    "reauthenticate": "accounts.forms.doors.StepUpCodeForm",
    "reauthenticate_webauthn": "accounts.forms.doors.StepUpPasskeyForm",
    "add_webauthn": "accounts.forms.doors.AddPasskeyForm",
}
MFA_RATE_LIMITS = False
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Evenkeel"
MFA_TOTP_TOLERANCE = 0  # the current 30 seconds only
MFA_RECOVERY_CODE_DIGITS = 34  # 112 bits, so that guessing is hopeless even for a thief of hashes
MFA_RECOVERY_CODES_SHOW_ONCE = True

# --- E-mail: notices, and links for people who forgot their password ---------------------------
_EMAIL = env.email_url("EVENKEEL_EMAIL_URL", default="filemail:///mail")
EMAIL_BACKEND = _EMAIL["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _EMAIL["EMAIL_HOST"] or "localhost", _EMAIL["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _EMAIL["EMAIL_HOST_USER"], _EMAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = bool(_EMAIL.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_EMAIL.get("EMAIL_USE_SSL"))
EMAIL_FILE_PATH = RUNTIME_DIR / (_EMAIL["EMAIL_FILE_PATH"] or "mail")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env("EVENKEEL_EMAIL_FROM", default="Evenkeel <evenkeel@localhost>")

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
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_IS_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# The prefix makes browsers refuse such a cookie from a subdomain or over plain HTTP.
SESSION_COOKIE_NAME = "__Host-session" if SITE_IS_HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrf" if SITE_IS_HTTPS else "csrftoken"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SECURE_SSL_REDIRECT = SITE_IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(health|ready)/$", r"^api/v1/"]  # EncryptedApiMiddleware refuses these
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

# --- Secrets of firms, encrypted with keys that are not in the database ---------------------------
_KEYS_FILE = env("EVENKEEL_SECRETS_KEY_FILE", default="")
# The first key encrypts, all decrypt: a new one goes in front, then `manage.py rotate_secrets`.
SECRETS_KEYS = [
    key.strip()
    for key in (
        Path(_KEYS_FILE).read_text().split()
        if _KEYS_FILE
        else env.list("EVENKEEL_SECRETS_KEY", default=[])
    )
    if key.strip()
]

# --- Webhooks: the only hosts that may be told of events; without any nobody is ------------------
WEBHOOK_HOSTS = env.list("EVENKEEL_WEBHOOK_HOSTS", default=[])

# --- API ----------------------------------------------------------------------------------------
# What the base of all endpoints, which knows no app, asks of the accounts app.
API_DOORS = ["accounts.api.TokenAuthentication", "robo.common.api.views.SessionAuthentication"]
API_ANSWERS = "accounts.operations.idempotency"
# Calls a minute of one person or token; a firm has five times as many.
API_BUDGETS = {
    "read": env.int("EVENKEEL_API_READS_PER_MINUTE", default=600),
    "write": env.int("EVENKEEL_API_WRITES_PER_MINUTE", default=120),
    "solve": env.int("EVENKEEL_API_SOLVES_PER_MINUTE", default=60),
}
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
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below speaks for workers too
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
    "apply corporate actions": {
        "task": "portfolios.tasks.apply_actions",
        "schedule": TICK_SECONDS,
    },
    "look for due checks": {"task": "rebalancer.tasks.find_due_checks", "schedule": TICK_SECONDS},
    "expire": {"task": "rebalancer.tasks.expire_proposals", "schedule": TICK_SECONDS},
    "poll the broker": {"task": "rebalancer.tasks.poll_broker", "schedule": TICK_SECONDS},
    "sweep": {"task": "rebalancer.tasks.sweep", "schedule": TICK_SECONDS},
    "review the brokers' lists": {
        "task": "rebalancer.tasks.review_orders",
        "schedule": 10 * TICK_SECONDS,
    },
    "compare with the brokers": {
        "task": "rebalancer.tasks.reconcile_brokers",
        "schedule": TICK_SECONDS,
    },
    "learn what trading costs": {
        "task": "rebalancer.tasks.calibrate_costs",
        "schedule": 60 * TICK_SECONDS,
    },
    "seal the journal": {"task": "accounts.tasks.seal_journals", "schedule": TICK_SECONDS},
    "tell webhooks": {"task": "accounts.tasks.tell_events", "schedule": TICK_SECONDS},
    "purge kept answers": {"task": "accounts.tasks.purge_answers", "schedule": 3600},
    "send mail": {"task": "accounts.tasks.send_mails", "schedule": TICK_SECONDS},
    "purge the doors": {"task": "accounts.tasks.purge_doors", "schedule": 3600},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "robo.common.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Denials have their one line from RequestLogMiddleware, without what somebody typed.
        "django.request": {"level": "ERROR"},
        "django.security.csrf": {"level": "ERROR"},
        "django.server": {"handlers": [], "propagate": False},
    },
}
