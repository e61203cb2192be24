"""``semcache demo``: a small upstream, the real proxy in front of it, and a handful of requests through both."""
