"""The OpenAI chat protocol for semcache: keys and answers of ``POST .../chat/completions``."""
