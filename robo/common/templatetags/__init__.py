"""Template tags and filters that know no app: figures as text, and the pieces of a page."""
