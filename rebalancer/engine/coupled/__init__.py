"""The accounts of one household in one problem: relaxation, bound, whole trades."""
