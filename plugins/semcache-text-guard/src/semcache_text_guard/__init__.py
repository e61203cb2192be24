"""The verifier ``text-guard`` of semcache: two prompts compared by text rules, in tens of microseconds."""
