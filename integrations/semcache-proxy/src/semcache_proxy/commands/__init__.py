"""The commands that this distribution adds to the ``semcache`` program, one per module."""
