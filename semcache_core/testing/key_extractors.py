"""The contract of a key extractor: which members split keys, which do not, and that no body makes it raise.

It changes the author's valid requests, one leaf at a time, so it does not depend on a protocol.
"""

from __future__ import annotations

import contextlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from semcache_core.protocols import KeyExtractor, SupportsClaims
from semcache_core.reasons import Reason
from semcache_core.testing import _bodies as bodies
from semcache_core.testing._answers import AnswerPromises
from semcache_core.testing._contract import promise
from semcache_core.testing._reasons import check_listed
from semcache_core.types import Bypass, Key, Request

Values = Mapping[str, Sequence[Any]]
SENTINEL = "Wherefore does the zebra quarrel with the xylophone player"


class KeyExtractorContract(AnswerPromises):
    """What the core relies on in a key extractor::

        class TestAnthropic(KeyExtractorContract):
            ignored = {"stream": [True, False], "service_tier": ["auto"]}
            end_user = {"metadata.user_id": ["u1", "u2"]}

            def make(self) -> KeyExtractor:
                return AnthropicMessages(AnthropicOptions())

            def samples(self) -> Sequence[Request]:
                return [Request(method="POST", path=b"/v1/messages", body=b'{"model": "m", ...}')]

    Members are named by their path in the body: ``messages.0.role``. Every member of a sample must split keys, except
    those named here and the comparable text.
    """

    ignored: ClassVar[Values] = {}
    """Members that never split keys, each with some valid values."""
    end_user: ClassVar[Values] = {}
    """End-user members, each with two valid values at least: they split scopes, but no exact keys."""
    exact_only_members: ClassVar[Values] = {}
    """Members that split exact keys, but no scopes."""
    reasons: ClassVar[Sequence[Reason] | None] = None
    """The reason codes that its component lists; None: those of the installed plugin."""

    @abstractmethod
    def samples(self) -> Sequence[Request]:
        """Return valid requests of the protocol, each with a key; the more members they use, the better."""

    def foreign(self) -> Sequence[Request]:
        """Return further requests that are not this protocol's."""
        return ()

    @final
    def keys(self, extractor: KeyExtractor) -> list[tuple[Request, Key]]:
        """Return every sample with its key."""
        return [(sample, _key(extractor, sample)) for sample in self.samples()]

    @final
    def json_samples(self, extractor: KeyExtractor) -> list[tuple[Request, Any, Key]]:
        """Return every sample whose body is a JSON object, its decoded body, and its key."""
        found = [(sample, _decoded(sample.body), key) for sample, key in self.keys(extractor)]
        found = [each for each in found if isinstance(each[1], dict)]
        if not found:
            pytest.skip("no sample has a JSON object for its body")
        return found

    # -- recognition --------------------------------------------------------------------------------------------------

    @promise
    async def test_every_sample_is_claimed_and_has_a_key(self, extractor: KeyExtractor) -> None:
        samples = self.keys(extractor)
        assert samples, "give at least one sample"
        for sample, _ in samples:
            assert extractor.claims(sample.method, sample.path)

    @promise
    async def test_other_methods_and_paths_are_not_claimed(self, extractor: KeyExtractor) -> None:
        for sample in self.samples():
            for method in ("DELETE", "PATCH", "OPTIONS", sample.method.lower()):
                assert not extractor.claims(method, sample.path), f"claims {method} {sample.path!r}"
            for path in (b"", b"/", b"*", b"\xff\xfe", sample.path + b"x", sample.path + b"/more", b"/elsewhere"):
                assert not extractor.claims(sample.method, path), f"claims {sample.method} {path!r}"
        for request in self.foreign():
            assert not (
                extractor.claims(request.method, request.path) and isinstance(extractor.extract(request), Key)
            ), f"takes {request.method} {request.path!r} for its own"

    @promise
    async def test_it_claims_what_it_says_it_claims(self, extractor: KeyExtractor) -> None:
        if not isinstance(extractor, SupportsClaims):
            pytest.skip("does not promise SupportsClaims: its paths come from a configuration")
        assert extractor.claimed, "name one (method, path) of each kind that it claims"
        for method, path in extractor.claimed:
            assert extractor.claims(method, path), f"names {method} {path!r} and does not claim it"

    @promise
    async def test_the_same_request_always_has_the_same_key(self, extractor: KeyExtractor) -> None:
        async with self.make() as another:
            for sample, key in self.keys(extractor):
                assert _key(extractor, sample) == key
                assert _key(another, sample) == key, "two extractors with equal options disagree"

    # -- what splits keys ---------------------------------------------------------------------------------------------

    @promise
    async def test_ignored_members_never_split_keys(self, extractor: KeyExtractor) -> None:
        for request, name, value, key in self._variations(extractor, self.ignored):
            assert _same_request(_key(extractor, request), key), f"{name} = {value!r} changes the key"
            assert _same_scope(_key(extractor, request), key), f"{name} = {value!r} changes the scope"

    @promise
    async def test_end_user_members_split_scopes_and_no_exact_keys(self, extractor: KeyExtractor) -> None:
        for request, name, value, key in self._variations(extractor, self.end_user):
            changed = _key(extractor, request)
            assert _same_request(changed, key), f"{name} = {value!r} changes the exact key"
            assert changed.end_user != key.end_user, f"{name} = {value!r} does not change the audience"

    @promise
    async def test_members_set_aside_split_exact_keys_and_no_scopes(self, extractor: KeyExtractor) -> None:
        for request, name, value, key in self._variations(extractor, self.exact_only_members):
            changed = _key(extractor, request)
            assert _same_scope(changed, key), f"{name} = {value!r} changes the scope"
            assert not _same_request(changed, key), f"{name} = {value!r} does not change the exact key"

    @promise
    async def test_every_other_change_splits_keys(self, extractor: KeyExtractor) -> None:
        for sample, body, key in self.json_samples(extractor):
            for path, value in bodies.leaves(body):
                if path and not self._is_listed(path):
                    for other in bodies.other_values(value):
                        changed = bodies.encoded(sample, bodies.replaced(body, path, other))
                        self._expect_split(extractor, changed, key, bodies.dotted(path), slot=_in_hole(value, key))

    @promise
    async def test_a_missing_member_splits_keys(self, extractor: KeyExtractor) -> None:
        for sample, body, key in self.json_samples(extractor):
            for path, value in bodies.leaves(body):
                if path and not self._is_listed(path):
                    changed = bodies.encoded(sample, bodies.removed(body, path))
                    self._expect_split(
                        extractor, changed, key, f"without {bodies.dotted(path)}", slot=_in_hole(value, key)
                    )

    @promise
    async def test_an_unknown_member_splits_keys(self, extractor: KeyExtractor) -> None:
        for sample, body, key in self.json_samples(extractor):
            for value in (1, None, "text"):
                changed = bodies.encoded(sample, {**body, "a_member_of_next_year": value})
                self._expect_split(extractor, changed, key, "an unknown member", slot=False)

    @promise
    async def test_white_space_and_the_order_of_members_never_split_keys(self, extractor: KeyExtractor) -> None:
        for sample, body, key in self.json_samples(extractor):
            for style in ({"indent": 2}, {"separators": (",", ":")}):
                assert _same_request(_key(extractor, bodies.encoded(sample, body, **style)), key)
            backwards = dict(reversed(body.items()))
            assert _same_request(_key(extractor, bodies.encoded(sample, backwards)), key)

    @promise
    async def test_the_text_that_may_vary_is_out_of_the_template(self, extractor: KeyExtractor) -> None:
        for sample, body, key in self.json_samples(extractor):
            varying = [(path, value) for path, value in bodies.leaves(body) if _in_hole(value, key)]
            assert bool(varying) == any(key.slot), f"what may vary is no text of the body: {key.slot}"
            for path, value in varying:
                text = value.replace(next(slot for slot in key.slot if slot in value), SENTINEL)
                changed = _key(extractor, bodies.encoded(sample, bodies.replaced(body, path, text)))
                assert changed.template == key.template, "near texts need equal templates"
                assert (
                    SENTINEL.encode()
                    not in changed.template + changed.exact_only_members + changed.end_user + changed.mode.flight
                )
                assert any(SENTINEL in slot for slot in changed.slot)

    # -- difficult bodies ---------------------------------------------------------------------------------------------

    @promise
    async def test_its_reason_codes_are_listed_by_its_component(self, extractor: KeyExtractor) -> None:
        asked = [
            bodies.with_body(sample, body)
            for sample in self.samples()
            for body in (sample.body, *bodies.MALFORMED, *bodies.UNUSUAL)
        ]
        codes: set[str] = set()
        for request in (*asked, *self.foreign()):
            with contextlib.suppress(Exception):  # Another promise checks that it never raises.
                said = extractor.extract(request)
                codes |= {said.reason} if isinstance(said, Bypass) else set()
                codes |= {said.exact_only} if isinstance(said, Key) and said.exact_only is not None else set()
        check_listed("key_extractors", extractor, codes, self.reasons)

    @promise
    async def test_malformed_bodies_have_no_key_and_never_raise(self, extractor: KeyExtractor) -> None:
        for sample, _, _ in self.json_samples(extractor):
            for body in (*bodies.MALFORMED, sample.body[:-1], sample.body + b"x"):
                _expect_none(extractor, bodies.with_body(sample, body))
            for body in bodies.UNUSUAL:
                assert isinstance(extractor.extract(bodies.with_body(sample, body)), (Key, Bypass, type(None)))

    @promise
    async def test_a_member_that_stands_twice_has_no_key(self, extractor: KeyExtractor) -> None:
        for sample, body, _ in self.json_samples(extractor):
            for path in bodies.objects(body):
                for name, value in bodies.at(body, path).items():
                    # Also with an escape in the name, which only a parser decodes.
                    for spelling in (json.dumps(name), f'"\\u{ord(name[0]):04x}{name[1:]}"' if name else '""'):
                        member = f"{spelling}: {json.dumps(value)}"
                        _expect_none(extractor, bodies.with_body(sample, bodies.with_raw_member(body, path, member)))

    @promise
    async def test_a_name_that_differs_in_case_only_has_no_key(self, extractor: KeyExtractor) -> None:
        for sample, body, _ in self.json_samples(extractor):
            for name in body:
                # U+212A, the Kelvin sign, is a k to some parsers; U+017F is an s.
                for other in (name.upper(), name.title(), name.replace("k", "\u212a"), name.replace("s", "\u017f")):
                    if other != name:
                        _expect_none(extractor, bodies.encoded(sample, {**body, other: body[name]}))

    @promise
    async def test_a_byte_order_mark_or_invalid_utf8_has_no_key(self, extractor: KeyExtractor) -> None:
        for sample, _, _ in self.json_samples(extractor):
            _expect_none(extractor, bodies.with_body(sample, b"\xef\xbb\xbf" + sample.body))
            _expect_none(extractor, bodies.with_body(sample, sample.body.decode().encode("utf-16")))
            _expect_none(extractor, bodies.with_body(sample, sample.body.replace(b'"', b'"\xff', 1)))

    @promise
    async def test_nan_infinity_and_lone_surrogates_have_no_key(self, extractor: KeyExtractor) -> None:
        for sample, body, _ in self.json_samples(extractor):
            for value in ("NaN", "Infinity", "-Infinity", r'"\ud800"', r'"\udc00 text"', '"\ud800"'):
                _expect_none(extractor, bodies.with_body(sample, bodies.with_raw_member(body, (), f'"odd": {value}')))

    @promise
    async def test_a_body_of_more_than_128_levels_has_no_key(self, extractor: KeyExtractor) -> None:
        for sample, body, _ in self.json_samples(extractor):
            for depth in (129, bodies.DEEP):
                member = '"deep": ' + "[" * depth + "]" * depth
                _expect_none(extractor, bodies.with_body(sample, bodies.with_raw_member(body, (), member)))

    @promise
    async def test_no_broken_copy_of_a_valid_body_makes_it_raise(self, extractor: KeyExtractor) -> None:
        samples = self.samples()
        valid = [sample.body for sample in samples]

        @settings(
            max_examples=self.fuzz_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(bodies.broken_copies(valid))
        def fuzz(body: bytes) -> None:
            for sample in samples:
                said = extractor.extract(bodies.with_body(sample, body))
                assert said is None or isinstance(said, (Bypass, Key))
                assert extractor.extract(bodies.with_body(sample, body)) == said

        fuzz()

    def _variations(self, extractor: KeyExtractor, listed: Values) -> list[tuple[Request, str, Any, Key]]:
        if not listed:
            pytest.skip("names no such members")
        changed = [
            (sample, bodies.replaced(body, tuple(name.split(".")), value), name, value, body, key)
            for sample, body, key in self.json_samples(extractor)
            for name, values in listed.items()
            for value in values
        ]
        return [
            (bodies.encoded(sample, other), name, value, key)
            for sample, other, name, value, body, key in changed
            if other != body
        ]

    def _is_listed(self, path: bodies.Path) -> bool:
        written = bodies.dotted(path)
        names = (*self.ignored, *self.end_user, *self.exact_only_members)
        return any(written == name or written.startswith(name + ".") for name in names)

    @staticmethod
    def _expect_split(extractor: KeyExtractor, request: Request, key: Key, what: str, *, slot: bool) -> None:
        said = extractor.extract(request)
        if isinstance(said, Key):
            assert not _same_request(said, key), f"{what}: a changed request has the same key"
            assert slot or not _same_scope(said, key), f"{what}: a changed request has the same scope"


def _key(extractor: KeyExtractor, request: Request) -> Key:
    said = extractor.extract(request)
    assert isinstance(said, Key), f"a valid {request.method} {request.path!r} has no key: {said!r}"
    return said


def _expect_none(extractor: KeyExtractor, request: Request) -> None:
    said = extractor.extract(request)
    assert said is None or isinstance(said, Bypass), f"has a key: {request.body[:200]!r}"
    if isinstance(said, Bypass):
        assert said.reason, "a bypass names its reason"


def _same_request(one: Key, other: Key) -> bool:
    return (one.template, one.exact_only_members, one.slot) == (other.template, other.exact_only_members, other.slot)


def _same_scope(one: Key, other: Key) -> bool:
    return (one.template, one.end_user) == (other.template, other.end_user)


def _in_hole(value: object, key: Key) -> bool:
    return isinstance(value, str) and any(slot and slot in value for slot in key.slot)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
