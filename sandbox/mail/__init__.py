"""A mail server that keeps every message and shows it on a page."""
