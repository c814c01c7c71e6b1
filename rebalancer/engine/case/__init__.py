"""A household as JSON: the public schema, what proposals store, and the answer."""
