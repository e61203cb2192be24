"""Judges each answer: whose it is, what it answers, and whether its caller may see it. It imports no code of keys."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import msgspec

from .asks import Ask
from .drivers import Outcome
from .setups import BRIEF, ON_ERROR, REVALIDATE, TTL, Setup
from .upstream import Broken, Call, Upstream
from .view import credentials, difference

Credential = tuple[tuple[bytes, bytes], ...]
_BREAKING = ("cut", "unmarked")
"""Faults of a stream after which those who share it are cut off: they must not take it for whole."""
_NEVER_KEPT = ("mode=off", "body", "nonsense", "namespace", "no identity", "path form", "a header that bypasses")
_REFUSED = re.compile(r"no-store|private|no-cache")


class Fault(msgspec.Struct, frozen=True):
    """One answer that its caller must not have got."""

    ask: Ask
    why: str


class _Proof(msgspec.Struct):
    """What the upstream last said of a credential at a place. Under a shared identity."""

    until: int | None = 0
    """The tick of its refusal; None while it is good."""
    accepted: int = -1
    """The wave in which it was last accepted."""


class Oracle:
    """Judges the answers of one world."""

    def __init__(self, setup: Setup, upstream: Upstream) -> None:
        self.setup, self.upstream = setup, upstream
        self.invalidated: dict[str, int] = {}
        """The tick of the latest invalidation of each tag; "" for the whole namespace."""
        self._refused: dict[object, tuple[int, int, float]] = {}
        """Tick, wave and real time of the latest 401 or 403 of each partition."""
        self._proofs: dict[tuple[object, ...], _Proof] = {}
        self._unproven: set[int] = set()
        self._served: dict[object, Call] = {}
        """Under a shared identity: the entry that was last served as an exact hit, by what it answers."""
        self.began = 0
        """The tick at which the wave began."""
        upstream.on_call = self._note
        upstream.on_end = self._note_end

    # -- what the upstream sees -------------------------------------------------------------------------------------

    def _note(self, call: Call) -> None:
        if self.setup.terms.identity != "shared":
            return
        proof = self._proofs.setdefault(self._proving(call.ask), _Proof())
        if proof.until is not None and not self._is_proven(call.ask):
            self._unproven.add(call.number)
        if call.ask.script.status == 200:
            proof.until, proof.accepted = None, call.wave

    def _note_end(self, call: Call) -> None:
        """Note a refusal once it is known to have reached the cache: a client that leaves may take it along."""
        if _refuses(call):
            place = (call.view.where, call.view.who, call.ask.said.get("namespace"))
            self._refused[place] = (call.tick, self.upstream.wave, time.monotonic())
            proof = self._proofs.get(self._proving(call.ask))
            # Of two answers in one wave, the cache may hear the acceptance last.
            if proof is not None and proof.accepted < call.wave:
                proof.until = self.upstream.tick

    def _proving(self, ask: Ask) -> tuple[object, ...]:
        found: Credential = tuple(credentials(ask.headers, llm=ask.is_chat))
        return (ask.view.where, found)

    def _is_proven(self, ask: Ask) -> bool:
        """Whether the credential was good at any time since this wave began: waves are judged after their end."""
        proof = self._proofs.get(self._proving(ask))
        return proof is not None and (proof.until is None or proof.until > self.began)

    # -- one answer ---------------------------------------------------------------------------------------------------

    def judge(self, ask: Ask, outcome: Outcome) -> tuple[str, Fault | None]:
        """Return how the answer came, and what is wrong with it, if anything is."""
        try:
            kind = self._kind(ask, outcome)
            why = next(self._wrongs(ask, outcome, kind), None)
        except Exception as error:  # noqa: BLE001  an answer that cannot be read is one that is wrong
            kind, why = "unreadable", f"unreadable: {error!r}: {outcome.body[:300]!r}"
        return kind, None if why is None else Fault(ask, why)

    def _kind(self, ask: Ask, outcome: Outcome) -> str:
        mark, status = outcome.header("x-cache") or "", outcome.header("cache-status") or ""
        if mark == "HIT":
            return "semantic hit" if "semantic" in status else "exact hit"
        if mark == "STALE":
            return "stale on error" if "fwd=stale" in status else "stale"
        if "collapsed" in status:
            return "joined"
        if outcome.status == 504 and "only-if-cached" in ask.said:
            return "only if cached"
        return "bypass" if mark == "BYPASS" else "miss" if mark == "MISS" else "untouched" if outcome.status else "none"

    def _wrongs(self, ask: Ask, outcome: Outcome, kind: str) -> Iterator[str]:
        if not outcome.status or kind == "only if cached":
            if kind == "none" and not self._may_break(ask, outcome):
                yield f"no answer: {outcome.error!r}"
            return
        told = outcome.told()
        number = re.match(r"(\d+) ", told)
        named = outcome.header("x-answer")
        if number is None:
            if outcome.complete and not outcome.left:
                yield f"the answer names nobody: {told!r}"
            elif not outcome.left and not self._may_break(ask, outcome):
                yield f"the answer broke off: {outcome.error!r}"
            return
        call = self.upstream.ledger.get(int(number[1]))
        if call is None:
            yield f"an answer that was never given: {told[:80]!r}"
            return
        is_part = not outcome.complete or call.ask.script.fault == "cut"
        if told != call.text and not (is_part and call.text.startswith(told)):
            yield f"answers were mixed: {told!r}"
        if named is not None and int(named) != call.number:
            yield f"the head of answer {named} with the body of answer {call.number}"
        if any(number != call.number for number in outcome.usage()):
            yield f"usage of another answer: {outcome.usage()}"
        if outcome.complete and call.ask.script.fault == "cut" and not outcome.left:
            yield f"half an answer ({kind}) taken for whole: {told[-80:]!r}"
        if not outcome.complete and not outcome.left and call.ask.script.fault not in _BREAKING:
            yield f"the answer broke off: {outcome.error!r}"
        if call.number == ask.number:
            yield from self._wrong_own(ask, outcome, kind)
        else:
            yield from self._wrong_shared(ask, outcome, kind, call)

    def _may_break(self, ask: Ask, outcome: Outcome) -> bool:
        """Whether the request, or one that it may have waited for, was cut off by the upstream."""
        if isinstance(outcome.error, Broken) or ask.script.fault in _BREAKING:
            return True
        own = ask.view
        near = (self.upstream.ledger.get(number) for number in range(ask.number - 40, ask.number + 40))
        return any(call and call.ask.script.fault in _BREAKING and call.view == own for call in near)

    def _wrong_own(self, ask: Ask, outcome: Outcome, kind: str) -> Iterator[str]:
        if outcome.status != ask.script.status:
            yield f"status {outcome.status}, and the upstream said {ask.script.status}"
        if kind not in ("miss", "bypass", "untouched"):
            yield f"its own answer came as {kind}"
        observing = self.setup.mode == "observe"
        if "only-if-cached" in ask.said and kind == "miss" and not observing and self.setup.terms.identity != "shared":
            yield "only-if-cached went upstream"

    def _wrong_shared(self, ask: Ask, outcome: Outcome, kind: str, call: Call) -> Iterator[str]:
        """Say why an answer that somebody else's request brought must not be this caller's."""
        if ask.own_only:
            yield f"answered from {call.number} although it may not use the cache: {ask.own_only}"
        if self.setup.mode == "observe":
            yield f"answer {call.number} was served although the cache only observes"
        if kind in ("miss", "bypass", "untouched"):
            yield f"answer {call.number} came as {kind}"
        if self.setup.terms.namespaces and ask.said.get("namespace") != call.ask.said.get("namespace"):
            yield f"answer {call.number} is of another namespace"
        semantic = "detail=semantic" in (outcome.header("cache-status") or "")
        differs = difference(ask.view, call.view, semantic=semantic and ask.said.get("mode") != "exact")
        if differs:
            yield differs
        if outcome.status != 200:
            yield f"status {outcome.status} of answer {call.number}"
        if outcome.header("set-cookie") or outcome.header("x-request-id"):
            yield f"header fields of the caller of {call.number}"
        if call.ask.own_only in _NEVER_KEPT or "no-store" in call.ask.said:
            yield f"answer {call.number} was not to be kept: {call.ask.own_only or 'no-store'}"
        why = _unkept(call, self._is_generic(call))
        # Whoever joins a stream gets it as it comes, until it breaks off.
        if why and not (kind == "joined" and why == call.ask.script.fault):
            yield f"answer {call.number} was not to be shared: {why}"
        if not _matches_vary(ask, call) and self._is_generic(call):
            yield f"answer {call.number} varies on a header that differs"
        if self.setup.terms.identity == "shared":
            yield from self._wrong_in_common(ask, kind, call)
        if kind == "joined":
            yield from self._wrong_joined(ask, call)
        else:
            yield from self._wrong_age(ask, outcome, kind, call)

    def _is_generic(self, call: Call) -> bool:
        return not call.ask.is_chat

    def _wrong_joined(self, ask: Ask, call: Call) -> Iterator[str]:
        if (ask.view.end_user, ask.view.delivery) != (call.view.end_user, call.view.delivery):
            yield f"joined {call.number}, which has another end user or delivery"
        if self.upstream.ended.get(call.number, self.upstream.wave) < self.upstream.wave - 1:
            yield f"joined {call.number}, which had ended"

    def _wrong_in_common(self, ask: Ask, kind: str, call: Call) -> Iterator[str]:
        same = self._proving(ask) == self._proving(call.ask)
        if not same and not self._is_proven(ask):
            yield f"an unproven credential got answer {call.number} ({kind})"
        if kind != "exact hit":
            return
        asked = msgspec.structs.replace(call.view, delivery="", end_user="")
        before = self._served.get(asked)
        chosen = call.ask.own_only == "no-cache" or "ttl" in call.ask.said
        not_its_to_replace = chosen or call.number in self._unproven
        if before is not None and before.number != call.number and not_its_to_replace:
            lived = call.at - before.at < self._life(before) and self._alive(before, call.tick)
            if lived and before.tick < call.tick:
                yield f"answer {call.number} of a caller who was not answered by {before.number} replaced it"
        self._served[asked] = call

    def _wrong_age(self, ask: Ask, outcome: Outcome, kind: str, call: Call) -> Iterator[str]:
        age, life = self.upstream.clock() - call.at, self._life(call)
        said = ask.said
        window = {"stale": REVALIDATE, "stale on error": ON_ERROR}.get(kind, 0.0)
        if "max-stale" in said:
            window = max(window, REVALIDATE, ON_ERROR)
        if age > life + window:
            yield f"answer {call.number} is {age:.1f} s old ({kind}), and lived {life:.1f} s"
        if "max-age" in said and age > 1 and "max-stale" not in said:
            yield f"answer {call.number} is {age:.1f} s old, and the caller said max-age"
        if not self._alive(call, self.began):
            yield f"answer {call.number} was invalidated"
        refused = self._refused.get((call.view.where, call.view.who, call.ask.said.get("namespace")))
        if self.setup.terms.identity != "shared" and refused is not None:
            tick, wave, moment = refused
            # The stamp is written off the path: at once to memory, to a file within a second.
            is_written = (
                time.monotonic() - moment > 1 if self.setup.store == "sqlite" else wave < self.upstream.wave - 3
            )
            if tick > call.tick and is_written:
                yield f"answer {call.number} was served although the upstream refuses this credential since"

    def _alive(self, call: Call, tick: int) -> bool:
        tags = re.findall(r"tags=([\w ]+)", _joined(call, b"semcache-control"))
        if "namespace" in call.ask.said:
            return True  # Only the configured namespace is invalidated.
        stamps = [self.invalidated.get(name, -1) for name in ("", *tags)]
        return not any(call.tick < stamp <= tick for stamp in stamps)

    def _life(self, call: Call) -> float:
        """Return the longest that an answer may live."""
        base = BRIEF if call.view.where[2].endswith("/brief/ask") else TTL
        own = re.search(r"ttl=(\d+)", _joined(call, b"semcache-control"))
        if own:
            return float(own[1])
        life = min(base, float(call.ask.said.get("ttl", base)))
        most = re.search(r"max-age=(\d+)", _joined(call, b"cache-control"))
        return min(life, float(most[1])) if most and self._is_generic(call) else life


def _refuses(call: Call) -> bool:
    """Whether the upstream refused the credential and the cache saw it: what bypasses is not looked at."""
    return call.ask.script.status in (401, 403) and call.ask.own_only in ("", "no-cache")


def _joined(call: Call, name: bytes) -> str:
    return ", ".join(value.decode() for field, value in call.ask.script.headers if field == name)


def _unkept(call: Call, generic: bool) -> str:
    """Return why an answer is its own caller's only, "" if it is not."""
    script = call.ask.script
    if script.status != 200:
        return f"status {script.status}"
    if script.fault:
        return script.fault
    if "no-store" in _joined(call, b"semcache-control"):
        return "no-store"
    if not generic:
        return ""
    if _joined(call, b"set-cookie"):
        return "set-cookie"
    if _REFUSED.search(_joined(call, b"cache-control")):
        return "cache-control"
    return "vary" if "*" in _joined(call, b"vary") else ""


def _matches_vary(ask: Ask, call: Call) -> bool:
    names = {name.strip().encode() for name in _joined(call, b"vary").split(",")} - {b""}
    if _joined(call, b"access-control-allow-origin"):
        names.add(b"origin")
    own, other = dict(ask.headers), dict(call.ask.headers)
    return all(own.get(name) == other.get(name) for name in names)
