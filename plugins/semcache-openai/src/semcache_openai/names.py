"""The member names of the OpenAI chat protocol, and the role of each in a key."""

from __future__ import annotations

from semcache_core.authoring.json_form import folded

#: End-user members: part of the scope and the flight, not of the exact digest.
END_USER = frozenset({"user", "safety_identifier", "metadata"})

#: Members for the delivery and billing of the answer, not its content; and the end-user members, keyed separately.
LEFT_OUT = END_USER | {"stream", "stream_options", "prompt_cache_key", "prompt_cache_retention", "service_tier"}

#: Members, some of them from the list above, that affect the delivery besides ``stream``.
DELIVERY = frozenset({"stream_options", "service_tier", "response_format"})

#: Members that may make a request exact-only.
EXACT = frozenset({"n", "logprobs", "top_logprobs", "modalities", "audio", "temperature"})

#: Numbers that compare by value: 1, 1.0 and 1e0 sample alike.
SAMPLING = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "top_a",
        "typical_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "repeat_penalty",
    }
)

#: Members that may make the answer depend on the outside world, or on state of the upstream.
LIVE = frozenset(
    {
        "web_search_options",
        "search_parameters",
        "enable_search",
        "data_sources",
        "plugins",
        "store",
        "tools",
    }
)

#: Tools that the caller runs; the upstream runs every other one.
CHOOSABLE_TOOLS = frozenset({"function", "custom"})

TOP = (
    LEFT_OUT
    | DELIVERY
    | EXACT
    | SAMPLING
    | LIVE
    | {
        "messages",
        "model",
        "chat_template_kwargs",
        "extra_body",
        "function_call",
        "functions",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "models",
        "parallel_tool_calls",
        "prediction",
        "provider",
        "reasoning",
        "reasoning_effort",
        "seed",
        "stop",
        "tool_choice",
        "transforms",
        "verbosity",
    }
)
MESSAGE = frozenset(
    {
        "annotations",
        "audio",
        "content",
        "function_call",
        "name",
        "prefix",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "role",
        "tool_call_id",
        "tool_calls",
    }
)
PART = frozenset(
    {
        "cache_control",
        "file",
        "image_url",
        "input_audio",
        "refusal",
        "text",
        "type",
        "video_url",
    }
)
TOOL = frozenset({"custom", "function", "type"})

FOLDED_TOP = folded(TOP)
FOLDED_MESSAGE = folded(MESSAGE)
FOLDED_PART = folded(PART)
FOLDED_TOOL = folded(TOOL)
