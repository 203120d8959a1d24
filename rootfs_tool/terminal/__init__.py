"""A person's terminal on a board's console, and what is kept of it."""
