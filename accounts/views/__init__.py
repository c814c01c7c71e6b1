"""The pages about people: signing in, risk profiles, people and households, the journal."""
