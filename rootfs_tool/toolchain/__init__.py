"""C into static programs for the board: the compiler, musl, the cache of what they made."""
