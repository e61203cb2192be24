"""An example of a semcache plugin: answers stay in the script of the question."""
