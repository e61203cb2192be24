"""The vocabulary of a language, from its data files."""
