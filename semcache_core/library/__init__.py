"""What a Python program uses: the cache, its look-ups, cached functions, the blocking form."""
