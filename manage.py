#!/usr/bin/env python
"""Django's command-line entry point."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")
    # A server sees what the web sees; every other command works for the whole installation.
    os.environ.setdefault("EVENKEEL_DB_ROLE", "web" if "runserver" in sys.argv else "owner")
    execute_from_command_line(sys.argv)
