"""The compiled kernel: each account by itself, in closed form and whole steps."""
