"""The embedding model bge-small-en-v1.5: data files only, without code."""
