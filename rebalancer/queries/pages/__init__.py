"""Reads for pages: one module per family, rows in, plain values for templates out."""
