"""Why something failed: what was said, what the board and this host show, and what mends it."""
