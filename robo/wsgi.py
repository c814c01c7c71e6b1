"""The door for a WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

from robo.start import check_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")

application = get_wsgi_application()
check_start()
