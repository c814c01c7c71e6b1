"""Strangers' programs that check our books: Beancount and hledger."""

import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

BEAN_CHECK = Path(sys.executable).with_name("bean-check")
HLEDGER = shutil.which("hledger")
needs_hledger = pytest.mark.skipif(HLEDGER is None, reason="hledger is not installed")


def export(firm, language, folder):
    """Write a firm's books to a file; return it."""
    path = Path(folder) / f"books.{language}"
    call_command("export_ledger", format=language, firm=firm.name, output=path, stdout=StringIO())
    return path


def run(*command):
    """Run a checker; return what it said, nothing when it is content."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr or "failed")


def bean_check(path):
    """Return what bean-check finds wrong."""
    return run(BEAN_CHECK, "--no-cache", path)


def hledger_check(path):
    """Return what hledger finds wrong, strictly."""
    return run(HLEDGER, "-f", path, "check", "-s")
