"""What happens when somebody pulls a lever?

One pull is one decision and what it wants recorded. The button carries a token, `once`: however
often it is pressed, and whatever the network does, the lever is pulled once and every press gets the
same answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from detente.kernel.fact import Fact, Subject, kind
from detente.kernel.forms import BadForm, decoded, fill
from detente.kernel.ledger import Condition, Conflict, Query
from detente.kernel.slice import Decided, Lever, NotFound, Pull, Refused

if TYPE_CHECKING:
    from detente.kernel.node import Node

_REMEMBERED = 1_000


class Happened(msgspec.Struct, frozen=True):
    """One fact that a lever made."""

    name: str
    about: Subject
    says: str


class Outcome(msgspec.Struct, frozen=True):
    """What pulling did: where it stands in the ledger, and in words."""

    about: Subject
    position: int
    facts: tuple[Happened, ...]
    repeated: bool = False


class Pulling:
    """The levers, and the answers already given."""

    def __init__(self, node: Node, levers: Sequence[Lever]) -> None:
        self._node = node
        self._levers = {lever.name: lever for lever in levers}
        self._answers: OrderedDict[str, asyncio.Future[Outcome]] = OrderedDict()

    async def pull(self, name: str, said: Mapping[str, Any], *, by: str) -> Outcome:
        """Pull once. Raises NotFound, BadForm, Refused."""
        lever = self._levers.get(name)
        if lever is None:
            raise NotFound(
                f"There is no lever called “{name}”; /openapi.json lists those there are."
            )
        once = str(said.get("once") or "")
        if not once:
            return await self._pull(lever, said, by=by, key=None)
        return await self._pull_once(
            lever, said, by=by, key=f"lever:{name}:{said.get('about')}:{once}"
        )

    async def _pull_once(
        self, lever: Lever, said: Mapping[str, Any], *, by: str, key: str
    ) -> Outcome:
        answer = self._answers.get(key)
        if answer is not None and not _failed(answer):
            first = await asyncio.shield(answer)
            return msgspec.structs.replace(first, repeated=True)
        answer = asyncio.ensure_future(self._pull(lever, said, by=by, key=key))
        self._answers[key] = answer
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return await asyncio.shield(answer)

    async def _pull(
        self, lever: Lever, said: Mapping[str, Any], *, by: str, key: str | None
    ) -> Outcome:
        about = _about(lever, said)
        form = fill(
            lever.form, {name: said[name] for name in said if name not in ("about", "once")}
        )
        pull = Pull(about=about, by=by, at=self._node.clock.now(), form=form)
        condition = _unless(lever, about, self._node.views.position)
        facts = lever.decide(self._node, pull)  # it knows best why not, so it is asked first
        if not lever.offered(self._node, about):
            raise Refused(f"“{lever.label}” is not offered for {self._node.title(about)} just now.")
        if not facts:
            return Outcome(about, self._node.ledger.head(), ())
        try:
            attach = facts.attach if isinstance(facts, Decided) else None
            receipt = await self._node.record(
                *facts, by=by, key=key, condition=condition, attach=attach
            )
        except Conflict:
            raise Refused(
                f"Somebody was quicker: {self._node.title(about)} changed while this was being"
                " written down. Look again, and then do it once more if it is still right."
            ) from None
        return Outcome(about, receipt.last, tuple(map(_happened, facts)), receipt.repeated)


def _unless(lever: Lever, about: Subject, known: int) -> Condition | None:
    """Only if nothing that matters to the decision is newer than what it was decided on."""
    return Condition(Query(lever.unless, (about,)), known) if lever.unless else None


def told_in_short(outcome: Outcome) -> str:
    """The outcome as the rest of a sentence that begins with the subject."""
    if not outcome.facts:
        return "there was nothing to do."
    said = "; ".join(fact.says for fact in outcome.facts)
    return f"{said} (once, though asked again)" if outcome.repeated else said


async def asked(request: web.Request) -> dict[str, Any]:
    """What was posted, as a form or as a JSON object."""
    if request.content_type != "application/json":
        return {name: value for name, value in (await request.post()).items()}  # noqa: C416
    return decoded(await request.read() or b"{}", dict[str, Any], '{"about": "vendor:cardpay"}')


def _about(lever: Lever, said: Mapping[str, Any]) -> Subject:
    about = str(said.get("about") or "")
    if kind(about) not in lever.kinds or ":" not in about:
        kinds = " or ".join(f"{each}:…" for each in lever.kinds)
        raise BadForm(f"about: “{lever.label}” is for {kinds}, not for “{about}”.")
    return about


def _happened(fact: Fact) -> Happened:
    return Happened(fact.name, fact.about, fact.says())


def _failed(answer: asyncio.Future[Outcome]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
