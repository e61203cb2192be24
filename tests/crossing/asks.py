"""Random requests, seeded: most repeat an earlier one, whole or with one thing changed.

Two requests that differ in one thing are where a cache mistakes one for the other, so they are what is asked most.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import deque
from random import Random
from typing import Any

import msgspec

from . import choices
from .callers import Caller, everyone
from .choices import Script
from .view import Terms, View, has_identity, view_of


class Parts(msgspec.Struct, frozen=True):
    """One choice in each dimension; most requests share all but one with another."""

    caller: Caller
    chat: bool
    method: str
    host: str
    path: str
    query: str
    text: str
    system: str
    members: int
    delivery: int
    end_user: int
    headers: int
    directive: int
    shape: int
    """How the text is written into the body: 0 a string, 1 one part, 2 two parts, 3 after earlier turns."""
    form: int
    """How the body is sent: 0 and 1 plain, 2 keys reversed, 3 gzip, 4 in pieces, 5 to 7 not for the cache."""


class Ask(msgspec.Struct):
    """One request as it is sent."""

    number: int
    parts: Parts
    method: str
    host: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    """As it is sent: it may be compressed."""
    pieces: list[bytes]
    view: View
    script: Script
    own_only: str
    """Why only its own upstream call may answer it; "" if the cache may."""
    leaves_after: int | None = None
    """The client leaves after so many messages of the answer."""

    @property
    def said(self) -> dict[str, str]:
        """The directives of the caller, by name."""
        texts = [value.decode() for name, value in self.headers if name in (b"cache-control", b"semcache-control")]
        pairs = (one.strip().partition("=") for text in texts for one in text.split(","))
        return {name: value for name, _, value in pairs} | ({"no-cache": ""} if self._pragma else {})

    @property
    def _pragma(self) -> bool:
        return any(name == b"pragma" for name, _ in self.headers)

    @property
    def is_chat(self) -> bool:
        """Whether it is for the chat protocol."""
        return self.parts.chat

    @property
    def streamed(self) -> bool:
        """Whether the caller wants a stream."""
        return self.is_chat and bool(choices.DELIVERY[self.parts.delivery].get("stream"))


class Asks:
    """Makes requests. ``hazards``: also what caches are known to fail at: texts with characters that a tokenizer
    drops, callers whose credential is easily overlooked, forwarded hosts and schemes in shared partitions.
    """

    def __init__(
        self, random: Random, terms: Terms, *, hazards: bool = True, accents: bool = False, spoils: float = 0.15
    ) -> None:
        self.random = random
        self.terms = terms
        self.spoils = spoils
        self.hazards = hazards
        self._unseen = [*choices.HAZARDS.values(), *([choices.ACCENT] if accents else ())]
        self.callers = everyone(random, identity=terms.identity, hazards=hazards)
        self._recent: deque[Parts] = deque(maxlen=24)
        self._number = 0
        words = random.sample(choices.WORDS.split(), 18)
        self._families = [words[at : at + 3] for at in range(0, 18, 3)]

    def wave(self) -> list[Ask]:
        """Return requests to be sent at once: some equal, some that differ in one thing."""
        parts = self._next()
        more = range(self.random.choice((0, 0, 0, 1, 2, 4)))
        others = [parts if self.random.random() < 0.6 else self._changed(parts) for _ in more]
        return [self._ask(each) for each in (parts, *others)]

    def _next(self) -> Parts:
        chance = self.random.random()
        if not self._recent or chance < 0.1:
            parts = self._anew()
        else:
            parts = self.random.choice(self._recent)
            if chance > 0.45:
                parts = self._changed(parts)
        self._recent.append(parts)
        return parts

    def _anew(self) -> Parts:
        random = self.random
        chat = random.random() < 0.6
        return Parts(
            caller=random.choice(self.callers),
            chat=chat,
            method="POST",
            host=choices.HOSTS[0],
            path=(choices.CHAT_PATHS if chat else choices.API_PATHS)[0],
            query="",
            text=self._text(),
            system="",
            members=0,
            delivery=random.randrange(3),
            end_user=0,
            headers=0,
            directive=0,
            shape=0,
            form=0,
        )

    def _changed(self, parts: Parts) -> Parts:
        (name,) = self.random.choices(list(choices.WORTH), weights=list(choices.WORTH.values()))
        return msgspec.structs.replace(parts, **{name: self._redrawn(name, parts)})

    def _redrawn(self, name: str, parts: Parts) -> Any:
        random = self.random
        if name == "caller":
            return random.choice(self.callers)
        if name == "text":
            return self._reworded(parts.text) if random.random() < 0.6 else self._text()
        if name == "path":
            paths = choices.CHAT_PATHS if parts.chat else choices.API_PATHS
            return random.choice((*paths, *paths, *paths, random.choice(choices.DOUBTFUL_PATHS)))
        methods = ("POST",) if parts.chat else choices.METHODS
        values = {"host": choices.HOSTS, "query": choices.QUERIES, "system": choices.SYSTEM, "method": methods}
        if name in values:
            return random.choice(values[name])
        if name in ("shape", "form"):
            return random.randrange(4 if name == "shape" else 8)
        table = {
            "members": choices.MEMBERS,
            "delivery": choices.DELIVERY,
            "end_user": choices.END_USERS,
            "headers": choices.HEADERS,
            "directive": choices.DIRECTIVES,
        }[name]
        if name == "headers" and self.terms.proxied:
            return random.randrange(len(table) - 1)  # The proxy adds to the last one, and the upstream reads it.
        if name == "headers" and not self.hazards and self.terms.identity == "shared":
            return random.randrange(choices.UNFORWARDED)
        return random.randrange(len(table))

    def _text(self) -> str:
        """Return one of the wordings of one of the questions."""
        random = self.random
        words = [*random.choice(self._families)]
        if random.random() < 0.4:
            words.append(f"item{random.randrange(3)}")
        chance = random.random()
        if chance < 0.5:
            return self._reworded(" ".join(words))
        if chance < 0.55:
            words.append("today")
        elif chance < 0.6:
            words = words[:1]
        elif chance < 0.63:
            words *= 30
        elif chance < 0.7 and self.hazards:
            at = random.randrange(len(words))
            words[at] = words[at][:2] + random.choice(self._unseen) + words[at][2:]
        return " ".join(words)

    def _reworded(self, text: str) -> str:
        """Return the same question in another order, or now and then the same of another item."""
        random = self.random
        words = [word for word in text.split() if word not in choices.FILLERS]
        if random.random() < 0.25:
            words = [f"item{random.randrange(3)}" if word.startswith("item") else word for word in words]
        random.shuffle(words)
        words.insert(random.randrange(len(words)), random.choice(choices.FILLERS))
        return " ".join(words)

    # -- from parts to bytes ----------------------------------------------------------------------------------------

    def _ask(self, parts: Parts) -> Ask:
        self._number += 1
        number, random = self._number, self.random
        body = b"" if parts.method == "GET" else json.dumps(_body(parts)).encode()
        plain, sent, extra = body, body, []
        if parts.method == "GET":
            pass
        elif parts.form == 2:
            plain = sent = json.dumps(dict(reversed(_body(parts).items()))).encode()
        elif parts.form == 3:
            sent, extra = gzip.compress(body, 1), [(b"content-encoding", b"gzip")]
        elif parts.form in (5, 6):
            plain = sent = (b'{"seed": 1, "seed": 1, ' if parts.form == 5 else b'\xef\xbb\xbf{"SEED": 1, ') + body[1:]
        elif parts.form == 7 and parts.chat:
            plain = sent = json.dumps({**_body(parts), **random.choice(choices.REFUSED)}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(sent)),
            (b"x-ask", b"%d" % number),
            *self._credentials(parts.caller),
            *extra,
        ]
        headers += [
            (name, value % number if b"%" in value else value) for name, value in choices.HEADERS[parts.headers]
        ]
        directive = choices.DIRECTIVES[parts.directive]
        if directive is not None:
            headers.append(directive)
        target = parts.path + parts.query
        view = view_of(self.terms, parts.method, parts.host, target, headers, plain)
        ask = Ask(
            number=number,
            parts=parts,
            method=parts.method,
            host=parts.host,
            target=target,
            headers=headers,
            body=sent,
            pieces=[sent[:7], sent[7:20], sent[20:]] if parts.form == 4 and sent else [sent],
            view=view,
            script=self._script(parts),
            own_only="",
            leaves_after=random.randrange(1, 4) if random.random() < 0.03 else None,
        )
        ask.own_only = self._why_own(ask)
        return ask

    def _credentials(self, caller: Caller) -> list[tuple[bytes, bytes]]:
        if not caller.drifting:
            return [*caller.headers]
        return [*caller.headers, (b"cookie", b"__cf_bm=%d; _cfuvid=%d" % (self.random.random() * 1e6, self._number))]

    def _why_own(self, ask: Ask) -> str:
        """Return why DESIGN keeps the request from the cache, "" if it does not."""
        parts = ask.parts
        names = {name for name, _ in ask.headers}
        if names & {b"idempotency-key", b"range"}:
            return "a header that bypasses"
        if re.search(r"/\.\./|//|%2f", parts.path):
            return "path form"
        if parts.method != "GET" and (parts.form in (5, 6) or (parts.form == 7 and parts.chat)):
            return "body"
        if "eve 1" in parts.caller.name and self.terms.identity == "default":
            return "expired credential"
        if not has_identity(self.terms, ask.headers, llm=parts.chat) and not (
            self.terms.anonymous and self._began_here(ask)
        ):
            return "no identity"
        said = ask.said
        if self.terms.identity == "shared" and said.keys() & {"no-cache", "max-age"}:
            return "no-cache"
        refused = ("no-cache", "nonsense", *(() if self.terms.namespaces else ("namespace",)))
        return next((name for name in refused if name in said), "mode=off" if said.get("mode") == "off" else "")

    def _began_here(self, ask: Ask) -> bool:
        """Whether a proxy on loopback may take the request for one of this machine."""
        names = {name for name, _ in ask.headers}
        forwarded = any(name.startswith(b"x-forwarded-") for name in names)
        return ask.host in (choices.HOSTS[0], choices.HOSTS[3]) and not forwarded

    def _script(self, parts: Parts) -> Script:
        """Say how the upstream answers: most often well."""
        random = self.random
        script = Script(
            before=random.choice((0, 0, 0, 2, 8)),
            between=random.choice((0, 0, 1, 3)),
            pieces=random.randrange(1, 6),
            coding=random.choice(("", "", "", "", "gzip", "br", "zstd")),
        )
        if random.random() >= self.spoils:
            return script
        status = random.choice((401, 403, 429, 500, 503, 503, 0, 0, 0, 0, 0, 0))
        if status:
            return msgspec.structs.replace(script, status=status, coding="")
        if random.random() < 0.4:
            faults = ("length", "event", "cut", "unmarked") if parts.chat else ("event", "cut")
            return msgspec.structs.replace(script, fault=random.choice(faults))
        return msgspec.structs.replace(script, headers=random.choice(choices.ANSWER_HEADERS))


def _body(parts: Parts) -> dict[str, Any]:
    members = {**choices.MEMBERS[parts.members]}
    if not parts.chat:
        return {"question": parts.text, **members, **({"system": parts.system} if parts.system else {})}
    messages: list[dict[str, Any]] = [{"role": "system", "content": parts.system}] if parts.system else []
    content: Any = parts.text
    if parts.shape == 1:
        content = [{"type": "text", "text": parts.text}]
    elif parts.shape == 2:
        first, _, second = parts.text.partition(" ")
        content = [{"type": "text", "text": first}, {"type": "text", "text": second}]
    elif parts.shape == 3:
        messages += [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
    messages.append({"role": "user", "content": content})
    return {
        "model": "m",
        "messages": messages,
        **members,
        **choices.DELIVERY[parts.delivery],
        **choices.END_USERS[parts.end_user],
    }
