"""Chaos: real processes on real servers, killed with SIGKILL again and again (`make chaos`)."""
