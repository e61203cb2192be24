"""The embedding model bge-small-en-v1.5: the files beside this one are all there is, and nothing to import."""
