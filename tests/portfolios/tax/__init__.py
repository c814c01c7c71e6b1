"""Tests of tax law as a regime."""
