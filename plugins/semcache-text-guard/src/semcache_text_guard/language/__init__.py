"""What is known of the words of a language, from its data files."""
