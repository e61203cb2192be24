"""Each wrong key extractor breaks one rule, and is caught by the tests that are named for it and by no others."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from semcache_core.authoring.json_form import Ambiguous, check_names, folded, in_order, parse, sorted_names
from semcache_core.plugin import OwnCode
from semcache_core.protocols import Answer, AnswerHead, Framing, KeyExtractor, Recorder, Refused, Reply
from semcache_core.settings import Policy
from semcache_core.testing import AnswerSample, KeyExtractorContract
from semcache_core.types import API, Bypass, Key, Mode, Request

from .right import Opened
from .runner import broken, promises, skipped

KNOWN = folded(("text", "user", "note", "trace", "model", "keys", "since", "live"))


LINES = b"text/plain"


class AskRecorder:
    """Records ``{"say": ...}``, or lines of text of which the last is END."""

    def __init__(self, *, is_lines: bool) -> None:
        self.is_lines = is_lines
        self.pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self.pieces.append(chunk)

    def finish(self) -> Answer | Refused:
        try:
            body = b"".join(self.pieces).decode()
            said = self.lines(body) if self.is_lines else json.loads(body)["say"]
            kept = json.dumps({"say": said}).encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            return Refused("malformed-answer")
        return Answer(status=200, headers=(), body=kept, offers=frozenset({"lines" if self.is_lines else "body"}))

    def lines(self, body: str) -> str:
        *lines, end, rest = body.split("\n")
        if (end, rest) != ("END", ""):
            raise ValueError("no last line")
        return " ".join(lines)


class Ask(Opened):
    """The plainest right extractor: ``POST .../ask`` with a JSON object whose ``text`` may vary."""

    recording: type[AskRecorder] = AskRecorder

    def recorder(self, key: Key, head: AnswerHead, *, policy: Policy) -> Recorder | Refused:
        return self.recording(is_lines=dict(head.headers)[b"content-type"] == LINES)

    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        if not framing.streamed:
            return Reply(b"application/json", (answer.body,))
        words = str(json.loads(answer.body)["say"]).split(" ")
        return Reply(LINES, tuple(f"{word}\n".encode() for word in (*words, "END")))

    traits = API
    claimed: Sequence[tuple[str, bytes]] = (("POST", b"/v1/ask"),)

    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST" and path.endswith(b"/ask")

    def extract(self, request: Request) -> Key | Bypass | None:
        try:
            body = self.parse(request.body)
            self.check(body)
        except Ambiguous as ambiguous:
            return Bypass(reason=ambiguous.reason)
        return self.key(body) if isinstance(body, dict) else None

    def parse(self, body: bytes) -> Any:
        return parse(body)

    def check(self, body: Any) -> None:
        if isinstance(body, dict):
            check_names(body, KNOWN)

    def key(self, body: dict[str, Any]) -> Key:
        body.pop("trace", None)
        streamed = body.pop("live", False) is True
        text = body.get("text")
        slot = (text,) if isinstance(text, str) else ()
        if slot:
            body["text"] = {"\x00": 0}
        exact_only_members, end_user = self.taken(body, "note"), self.taken(body, "user")
        return Key(
            template=self.template(body),
            slot=slot,
            exact_only_members=exact_only_members,
            end_user=end_user,
            mode=Mode(streamed=streamed),
        )

    def taken(self, body: dict[str, Any], name: str) -> bytes:
        return sorted_names(body.pop(name)) if name in body else b""

    def template(self, body: dict[str, Any]) -> bytes:
        return sorted_names(body)


WRONG: dict[type[Ask], set[str]] = {}


def caught_by(*names: str) -> Any:
    """Note by which tests a wrong extractor is to be caught."""

    def note(extractor: type[Ask]) -> type[Ask]:
        WRONG[extractor] = set(names)
        return extractor

    return note


class TestRight(KeyExtractorContract):
    ignored = {"trace": [1, "a"], "live": [True, False]}
    end_user = {"user": ["ann", "bob"]}
    exact_only_members = {"note": ["a", "b"]}
    reasons = ()
    extractor: ClassVar[type[Ask]] = Ask

    def make(self) -> KeyExtractor:
        return self.extractor()

    def samples(self) -> Sequence[Request]:
        bodies = [
            {"text": "Which planet is nearest?", "model": "m-1", "keys": [1, 2.5, True], "since": None},
            {"text": "Which planet is largest?", "user": "cid", "note": "c", "trace": 9},
            {"model": "m-1"},
        ]
        return [Request(method="POST", path=b"/v1/ask", body=json.dumps(body).encode()) for body in bodies]

    def answers(self) -> Sequence[AnswerSample]:
        whole = Request(method="POST", path=b"/v1/ask", body=b'{"text": "Which planet is nearest?"}')
        live = Request(method="POST", path=b"/v1/ask", body=b'{"text": "Which planet is nearest?", "live": true}')
        said = '{"say": "Mercury, mostly: « Merkur »"}'.encode()
        return [
            AnswerSample(request=whole, content_type=b"application/json", body=said),
            AnswerSample(request=live, content_type=LINES, body="Mercury,\nmostly:\n« Merkur »\nEND\n".encode()),
        ]


@caught_by("test_its_reason_codes_are_listed_by_its_component")
class InventsACode(Ask):
    def extract(self, request: Request) -> Key | Bypass | None:
        said = super().extract(request)
        return Bypass(reason=OwnCode("unclear")) if isinstance(said, Bypass) else said


@caught_by("test_every_sample_is_claimed_and_has_a_key")
class ForgetsThatPathsHaveAPrefix(Ask):
    claimed = (("POST", b"/ask"),)

    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST" and path == b"/ask"


@caught_by("test_other_methods_and_paths_are_not_claimed")
class ClaimsEveryMethod(Ask):
    def claims(self, method: str, path: bytes) -> bool:
        return path.endswith(b"/ask")


@caught_by("test_other_methods_and_paths_are_not_claimed")
class ClaimsByAPartOfThePath(Ask):
    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST" and b"/ask" in path


@caught_by("test_it_claims_what_it_says_it_claims")
class NamesAPathOfAnotherProtocol(Ask):
    claimed = (("POST", b"/v1/ask"), ("POST", b"/v1/tell"))


@caught_by("test_the_same_request_always_has_the_same_key")
class SaltsItsKeys(Ask):
    def __init__(self) -> None:
        super().__init__()
        self.salt = secrets.token_bytes(8)

    def template(self, body: dict[str, Any]) -> bytes:
        return self.salt + super().template(body)


@caught_by("test_ignored_members_never_split_keys")
class KeepsTheTrace(Ask):
    def key(self, body: dict[str, Any]) -> Key:
        return super().key({**body, "traced": body["trace"]} if "trace" in body else body)


@caught_by("test_end_user_members_split_scopes_and_no_exact_keys")
class LetsTheUserSplitExactKeys(Ask):
    def taken(self, body: dict[str, Any], name: str) -> bytes:
        return b"" if name == "user" else super().taken(body, name)


@caught_by("test_end_user_members_split_scopes_and_no_exact_keys")
class ForgetsTheUser(Ask):
    def taken(self, body: dict[str, Any], name: str) -> bytes:
        taken = super().taken(body, name)
        return b"" if name == "user" else taken


@caught_by("test_members_set_aside_split_exact_keys_and_no_scopes")
class LetsTheNoteSplitScopes(Ask):
    def taken(self, body: dict[str, Any], name: str) -> bytes:
        return b"" if name == "note" else super().taken(body, name)


@caught_by("test_every_other_change_splits_keys", "test_a_missing_member_splits_keys")
class IgnoresTheModel(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return super().template({name: value for name, value in body.items() if name != "model"})


@caught_by("test_every_other_change_splits_keys")
class LowersTheCaseBeforeItCompares(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return super().template(body).lower()


@caught_by("test_every_other_change_splits_keys")
class TakesTrueForOne(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return super().template(body).replace(b"true", b"1")


@caught_by("test_a_missing_member_splits_keys")
class TakesNullForAbsent(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return super().template({name: value for name, value in body.items() if value is not None or name != "since"})


@caught_by("test_an_unknown_member_splits_keys")
class DropsWhatItDoesNotKnow(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return super().template({name: value for name, value in body.items() if name.casefold() in KNOWN})


@caught_by("test_white_space_and_the_order_of_members_never_split_keys")
class KeepsTheOrderOfMembers(Ask):
    def template(self, body: dict[str, Any]) -> bytes:
        return in_order(body)


@caught_by("test_the_text_that_may_vary_is_out_of_the_template")
class CountsTheLettersOfTheText(Ask):
    def key(self, body: dict[str, Any]) -> Key:
        return super().key({**body, "length": len(str(body.get("text")))})


@caught_by(
    "test_the_text_that_may_vary_is_out_of_the_template",
    "test_every_other_change_splits_keys",
    "test_a_missing_member_splits_keys",
)
class PutsTheModelIntoTheText(Ask):
    def key(self, body: dict[str, Any]) -> Key:
        model = body.pop("model", "")
        key = super().key(body)
        slot = tuple(f"{model}: {text}" for text in key.slot) or (str(model),)
        return Key(template=key.template, slot=slot, exact_only_members=key.exact_only_members, end_user=key.end_user)


@caught_by("test_malformed_bodies_have_no_key_and_never_raise")
class StopsAtTheEndOfTheFirstObject(Ask):
    def parse(self, body: bytes) -> Any:
        return super().parse(body[: body.rindex(b"}") + 1] if body.endswith(b"}x") else body)


@caught_by("test_a_member_that_stands_twice_has_no_key")
class TakesTheLastOfTwo(Ask):
    def parse(self, body: bytes) -> Any:
        try:
            return super().parse(body)
        except Ambiguous as ambiguous:
            if ambiguous.reason != "ambiguous-duplicate":
                raise
            return json.loads(body)


@caught_by("test_a_name_that_differs_in_case_only_has_no_key")
class TellsNamesApartByCase(Ask):
    def check(self, body: Any) -> None:
        pass


@caught_by("test_a_byte_order_mark_or_invalid_utf8_has_no_key")
class SkipsAByteOrderMark(Ask):
    def parse(self, body: bytes) -> Any:
        return super().parse(body.removeprefix(b"\xef\xbb\xbf"))


@caught_by("test_nan_infinity_and_lone_surrogates_have_no_key")
class TakesNaN(Ask):
    def parse(self, body: bytes) -> Any:
        return super().parse(body.replace(b": NaN", b": 0"))


@caught_by("test_a_body_of_more_than_128_levels_has_no_key")
class DigsAsDeepAsItCan(Ask):
    def parse(self, body: bytes) -> Any:
        try:
            return super().parse(body)
        except Ambiguous as ambiguous:
            if ambiguous.reason != "ambiguous-depth" or len(body) > 5000:
                raise
            return json.loads(body)


@caught_by("test_no_broken_copy_of_a_valid_body_makes_it_raise")
class RaisesOnMinusZero(Ask):
    def parse(self, body: bytes) -> Any:
        if b"-0" in body:
            raise OverflowError("-0")
        return super().parse(body)


class DecodesEachPiece(AskRecorder):
    def feed(self, chunk: bytes) -> None:
        super().feed(chunk.decode("utf-8", "replace").encode())


@caught_by("test_a_good_answer_is_recorded_wherever_its_pieces_end")
class TakesTheNetworksPiecesForCharacters(Ask):
    recording = DecodesEachPiece


class NeedsNoLastLine(AskRecorder):
    def lines(self, body: str) -> str:
        return " ".join(line for line in body.split("\n") if line not in ("END", ""))


@caught_by("test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one")
class TakesAnAbortForAnAnswer(Ask):
    recording = NeedsNoLastLine


class NeedsGoodText(AskRecorder):
    def finish(self) -> Answer | Refused:
        body = b"".join(self.pieces)
        if body.count(b",") > 1:
            raise KeyError("too many values to unpack")
        return super().finish()


@caught_by("test_no_broken_answer_makes_it_raise")
class RaisesOnASecondComma(Ask):
    recording = NeedsGoodText


@caught_by("test_an_equal_caller_gets_the_answer_back_in_its_own_mode")
class LosesAWordWhenItReplaysLinesAsLines(Ask):
    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        reply = super().reply(answer, framing)
        lossy = reply is not None and framing.streamed and "lines" in answer.offers
        return Reply(reply.content_type, reply.chunks[1:]) if lossy else reply


@caught_by("test_the_other_mode_gets_the_same_answer_or_none")
class TellsLinesAsAnEmptyBody(Ask):
    def reply(self, answer: Answer, framing: Framing) -> Reply | None:
        reply = super().reply(answer, framing)
        wrong = not framing.streamed and "lines" in answer.offers
        return Reply(b"application/json", (b'{"say": ""}',)) if wrong else reply


@caught_by("test_closing_twice_is_harmless")
class RaisesWhenClosedTwice(Ask):
    async def __aexit__(self, *error: Any) -> bool | None:
        self.check_open()
        return await super().__aexit__(*error)


@caught_by("test_closing_leaves_no_task_behind")
class LeavesATaskBehind(Ask):
    async def __aenter__(self) -> Any:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        return await super().__aenter__()


@caught_by("test_an_error_in_the_block_is_not_swallowed")
class SwallowsErrors(Ask):
    async def __aexit__(self, *error: Any) -> bool | None:
        await super().__aexit__(*error)
        return True


@pytest.mark.parametrize("extractor", WRONG, ids=lambda extractor: extractor.__name__)
def test_a_wrong_extractor_is_caught_by_the_tests_named_for_its_fault(extractor: type[Ask]) -> None:
    # Only the fault that takes luck to find is searched for at length.
    examples = 300 if any("makes_it_raise" in name for name in WRONG[extractor]) else 10
    contract = type("Wrong", (TestRight,), {"extractor": extractor, "fuzz_examples": examples})
    assert broken(contract) == WRONG[extractor]


def test_every_promise_has_an_extractor_that_breaks_it() -> None:
    assert set().union(*WRONG.values()) == set(promises(TestRight))


def test_an_extractor_of_bodies_that_are_no_json_skips_what_is_about_json() -> None:
    class Pages(Opened):
        traits = API

        def claims(self, method: str, path: bytes) -> bool:
            return method == "GET" and path == b"/page"

        def extract(self, request: Request) -> Key | Bypass | None:
            return Bypass(reason="body") if request.body else Key(template=request.query)

    class Contract(KeyExtractorContract):
        def make(self) -> KeyExtractor:
            return Pages()

        def samples(self) -> Sequence[Request]:
            return [Request(method="GET", path=b"/page", query=b"n=1")]

    assert broken(Contract) == set()
    assert set(promises(Contract)) - skipped(Contract) == {
        "test_an_error_in_the_block_is_not_swallowed",
        "test_closing_leaves_no_task_behind",
        "test_closing_twice_is_harmless",
        "test_every_sample_is_claimed_and_has_a_key",
        "test_no_broken_copy_of_a_valid_body_makes_it_raise",
        "test_other_methods_and_paths_are_not_claimed",
        "test_the_same_request_always_has_the_same_key",
    }
