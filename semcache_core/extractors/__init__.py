"""Key extractors, one protocol each: which requests are its own, what of them is the key, what its answers are."""
