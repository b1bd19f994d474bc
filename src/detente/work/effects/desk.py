"""Takes calls, sends them on, and sends again what was parked: one desk between callers and vendors."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence

import msgspec

from detente.facts.work import (
    CallCharged,
    CallRefused,
    CallReleased,
    CallTaken,
)
from detente.kernel import masking
from detente.kernel.clock import NS, Instant, later
from detente.kernel.config import SecretMissing
from detente.kernel.fact import Fact, plain
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.network import NoAnswer, NotReached, Reply
from detente.kernel.node import Node
from detente.work import decisions, queries
from detente.work.decisions import Call, Outcome
from detente.work.effects.breakers import Breakers
from detente.work.effects.drills import Drills, Played
from detente.work.engine.travel import (
    Incoming,
    Outgoing,
    Request,
    alike,
    end_to_end,
    joined,
    problem,
    readable,
    stays_below,
)
from detente.work.settings import Route, Work

log = logging.getLogger(__name__)

_IDEMPOTENCY = "Idempotency-Key"

_pack = msgspec.msgpack.Encoder().encode
_unpack_request = msgspec.msgpack.Decoder(Request).decode
_unpack_reply = msgspec.msgpack.Decoder(Reply).decode


class Desk:
    """Everything of one node that stands between callers and vendors."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.work = node.settings(Work)
        self.at_vendor: set[str] = set()  # calls being sent this moment: people must wait for those
        self._decided: dict[str, float] = {}  # calls people just decided on, until when
        self._asked: dict[tuple[str, str], asyncio.Task[Outgoing]] = {}
        self._owed: set[asyncio.Task[None]] = set()  # what is still to be written down
        self._stirred = asyncio.Event()
        self.breakers = Breakers(node, stir=self._stirred.set)
        self.drills = Drills(node, self.breakers)

    # -- taking calls ------------------------------------------------------------------------

    async def answer(self, incoming: Incoming) -> Outgoing:
        """Answer a caller, whatever the vendor does."""
        route = self.work.routes.get(incoming.route)
        if route is None:
            known = ", ".join(self.work.routes) or "none yet"
            return problem(404, f"no route is called {incoming.route!r}; declared: {known}")
        if not stays_below(incoming.path):
            return problem(400, "the path leads out of the route; write it without `.` and `..`")
        if incoming.method not in route.park:
            try:
                return await self._pass_on(route, incoming)
            except Exception:  # whatever one call does, the gateway stays
                log.exception("a call for %s could not be answered", incoming.route)
                return problem(500, _OUR_FAULT)
        incoming = readable(incoming)
        key = incoming.header(route.idempotency or _IDEMPOTENCY) or self._new_id()
        asked = (incoming.route, key)
        if (first := self._asked.get(asked)) is not None:
            return await self._same(incoming, key, await asyncio.shield(first))
        # A task of its own: a caller who hangs up must not stop what was begun.
        taking = asyncio.create_task(self._take_or_say_why(route, incoming, key))
        self._asked[asked] = taking
        taking.add_done_callback(lambda _task: self._asked.pop(asked))
        return await asyncio.shield(taking)

    async def _take_or_say_why(self, route: Route, incoming: Incoming, key: str) -> Outgoing:
        try:
            return await self._take(route, incoming, key)
        except LedgerError as error:
            log.error("a call for %s was turned away: %s", incoming.route, error)
            says = "nothing was sent and nothing was kept, because it could not be written down"
            return problem(503, f"{says}: {error}", retry_after=5)
        except Exception:  # whatever one call does, the gateway stays
            log.exception("a call for %s could not be answered", incoming.route)
            return problem(500, _OUR_FAULT)

    async def _take(self, route: Route, incoming: Incoming, key: str) -> Outgoing:
        about = f"call:{self._new_id()}"
        request = _kept(route, incoming)
        packed = _pack(request)
        if self._no_room(incoming.route, key, len(packed)):
            says = f"more than {self.work.park_at_most} wait already; nothing was sent and nothing kept"
            return problem(503, f"{route.vendor} is not there, and {says}", retry_after=60)
        taken = CallTaken(
            about=about,
            route=incoming.route,
            vendor=f"vendor:{route.vendor}",
            key=key,
            method=incoming.method,
            path=masking.address(incoming.path, self.work.masked),
            sha256=hashlib.sha256(incoming.body).hexdigest(),
            caller=self._caller(incoming, key),
            asked=_asked(incoming, key),
            money=decisions.worth(incoming.body, route.money),
            size=len(packed),
        )
        receipt = await self.node.record(
            taken,
            by=f"route:{incoming.route}",
            key=f"work:{incoming.route}/{key}",
            attach={0: packed},
        )
        if receipt.repeated:
            return self._again(route, incoming, key)
        call = _call(taken, receipt.first, self.node.clock.now())
        try:
            return await self._send_first(route, call, request)
        except Exception as error:  # it is on disk, and nobody knows how far it came
            log.exception("%s could not be sent", call.about)
            facts = decisions.stumbled_first(call, error, repeatable=_repeatable(route))
            await self._write_down(facts, call, f"stumbled:{about}", wait=False)
            self._stirred.set()
            return self._accepted(route, call)

    def _no_room(self, route: str, key: str, size: int) -> bool:
        """Would the call have to wait, and is there no room left for what waits?"""
        if queries.bytes_kept(self.node.rows) + size <= self.work.park_at_most:
            return False
        would_wait = self.breakers[route].snapshot().state != "closed"
        return would_wait and queries.by_key(self.node.rows, route, key) is None

    async def _send_first(self, route: Route, call: Call, request: Request) -> Outgoing:
        """Send a call that is on disk while its caller waits."""
        outcome, reply = await self._send(route, call, request)
        facts = decisions.settle_first(call, outcome, repeatable=_repeatable(route))
        decided = isinstance(facts[0], CallCharged | CallRefused)
        await self._write_down(
            facts, call, f"first:{call.about}", _kept_reply(reply, whole=decided), wait=False
        )
        if decided and reply:
            return Outgoing(reply.status, end_to_end(reply.headers), reply.body)
        self._stirred.set()
        return self._accepted(route, call)

    async def _same(self, incoming: Incoming, key: str, first: Outgoing) -> Outgoing:
        """A second request under a key whose first is being answered gets the first's answer."""
        call = queries.by_key(self.node.rows, incoming.route, key)
        if call is not None and self._is_another(call, incoming):
            return problem(422, _OTHER_REQUEST)
        if call is not None and self._is_somebody_else(call, incoming):
            return self._accepted(self.work.routes[incoming.route], call)
        return first

    def _again(self, route: Route, incoming: Incoming, key: str) -> Outgoing:
        """The answer to a key that was answered before: the first answer."""
        call = queries.by_key(self.node.rows, incoming.route, key)
        if call is None:
            raise LedgerError("the call is on disk, but the views have not read it yet")
        if self._is_another(call, incoming):
            return problem(422, _OTHER_REQUEST)
        known_only = self._is_somebody_else(call, incoming)
        if call.state == "handed back" and not known_only:
            return problem(409, f"{_HANDED_BACK}: {call.note}")
        if call.parked_at is not None or call.answer is None or known_only:
            return self._accepted(route, call)
        kept = self.node.ledger.attachment(call.answer)
        if kept is None:
            return _answered_long_ago(call)
        reply = _unpack_reply(kept)
        headers = (*end_to_end(reply.headers), ("Idempotent-Replayed", "true"))
        return Outgoing(reply.status, headers, reply.body)

    def _is_another(self, call: Call, incoming: Incoming) -> bool:
        """Was the key used for another request?"""
        if call.asked:
            return call.asked != _asked(incoming, call.key)
        sha256 = hashlib.sha256(incoming.body).hexdigest()
        path = masking.address(incoming.path, self.work.masked)
        return (call.sha256, call.method, call.path) != (sha256, incoming.method, path)

    def _is_somebody_else(self, call: Call, incoming: Incoming) -> bool:
        """Then they hear that the call is known, and nothing of the vendor's answer."""
        return bool(call.asked) and call.caller != self._caller(incoming, call.key)

    def _caller(self, incoming: Incoming, key: str) -> str:
        """Who asks, as far as they say: keyed, so that nobody can guess a password from it."""
        own = _IDEMPOTENCY.lower()
        said = [
            value
            for name, value in incoming.headers
            if masking.is_secret(name) and name.lower() != own
        ]
        if not said:
            return ""
        message = "\n".join((key, *said)).encode("utf-8", "surrogateescape")
        return hmac.new(self.node.token.encode(), message, "sha256").hexdigest()

    def _accepted(self, route: Route, call: Call) -> Outgoing:
        told = {
            "id": call.about.partition(":")[2],
            "status": "accepted",
            "message": "Taken. It will be passed on as soon as the other side answers.",
        }
        headers = (("Content-Type", "application/json"), ("X-Detente-Call", told["id"]))
        return Outgoing(route.answer_status, headers, msgspec.json.encode(told))

    async def _pass_on(self, route: Route, incoming: Incoming) -> Outgoing:
        """A call that is not worth keeping: sent on, cut short, or refused at once."""
        request = _kept(route, incoming, (*route.headers, *route.secret_headers))
        outcome, reply = await self._transmit(route, incoming, request)
        if reply is not None:
            return Outgoing(reply.status, end_to_end(reply.headers), reply.body)
        status = 504 if outcome.unknown else 503
        return problem(status, f"{route.vendor} is not there: {outcome.reason}", retry_after=5)

    # -- sending -----------------------------------------------------------------------------

    async def _send(
        self, route: Route, call: Call, request: Request
    ) -> tuple[Outcome, Reply | None]:
        named = ((route.idempotency, call.sent_key),) if route.idempotency else ()
        sealed = Request((*request.headers, *named), request.body)
        path = request.path or call.path  # requests of former days have it in the fact alone
        again = Incoming(call.route, call.method, path, sealed.headers, request.body)
        self.at_vendor.add(call.about)
        try:
            return await self._transmit(route, again, sealed)
        finally:
            self.at_vendor.discard(call.about)

    async def _transmit(
        self, route: Route, incoming: Incoming, request: Request
    ) -> tuple[Outcome, Reply | None]:
        """Through the breaker, over the network, once."""
        try:
            secrets = {name: secret.reveal() for name, secret in route.secret_headers.items()}
        except SecretMissing as missing:
            return Outcome(status=None, seconds=0, reason=f"not sent: {missing}"), None
        breaker = self.breakers[incoming.route]
        permit = breaker.ask()
        if permit is None:
            now = breaker.snapshot()
            why = now.reason if now.state == "held open" else "the vendor was not answering"
            reason = f"not sent: {why}"
            return Outcome(status=None, seconds=0, reason=reason, kept_back=True), None
        loop = asyncio.get_running_loop()
        start = loop.time()
        headers = {**joined(request.headers), **route.headers, **secrets}
        try:
            left = await self.drills.play(incoming.route, route)
            reply = await self.node.network.call(
                incoming.method,
                str(route.to).rstrip("/") + incoming.path,
                headers=headers,
                body=request.body,
                timeout=left,
            )
        except Played as played:
            permit.failed(str(played))
            return Outcome(
                status=None, seconds=loop.time() - start, reason=str(played), played=True
            ), None
        except (NotReached, NoAnswer) as trouble:
            permit.failed(str(trouble))
            doubt = isinstance(trouble, NoAnswer)
            lasted = loop.time() - start
            return Outcome(status=None, seconds=lasted, reason=str(trouble), unknown=doubt), None
        except BaseException:
            permit.dropped()
            raise
        outcome = decisions.answered(reply.status, loop.time() - start, reply.body)
        if outcome.troubled:
            permit.failed(outcome.reason)
        else:
            permit.succeeded()
        return outcome, reply

    # -- replaying ---------------------------------------------------------------------------

    async def replay_route(self, name: str) -> None:
        """Send the parked calls of one route again, oldest first, gently, for ever."""
        route = self.work.routes[name]
        successes = 0
        while True:
            call = queries.next_due(self.node.rows, name, self.node.now())
            if call is None or call.about in self.at_vendor or self._just_decided(call):
                await self._until_due(name)
                continue
            wait = self._not_now(name)
            if wait is not None:
                successes = 0
                await self._stir(wait)
                continue
            good = await self.replay(route, call)
            successes = successes + 1 if good else 0
            await asyncio.sleep(decisions.pace(route.replay, successes))

    async def replay(self, route: Route, call: Call) -> bool:
        """Send one parked call again; True if the vendor took it."""
        kept = self.node.ledger.attachment(call.request)
        try:
            request = _unpack_request(kept or b"")
        except msgspec.MsgspecError:
            await self._write_down(decisions.without_request(call), call)
            return False
        self.at_vendor.add(call.about)
        try:
            return await self._replay(route, call, request)
        except Exception as error:  # whatever one call does, the others go on
            log.exception("%s could not be sent again", call.about)
            await self._write_down(decisions.stumbled(call, error), call)
            return False
        finally:
            self.at_vendor.discard(call.about)

    async def _replay(self, route: Route, call: Call, request: Request) -> bool:
        harmless = _repeatable(route) or self.drills.plays_dead(call.route)
        before = decisions.before_replay(call, repeatable=harmless)
        await self._write_down(before, call)
        outcome, reply = await self._send(route, call, request)
        if outcome.kept_back:  # the breaker or a pause came between: nothing happened
            back = [CallReleased(about=call.about, route=call.route)] if before else []
            await self._write_down(back, call)
            return False
        facts = decisions.settle_replay(
            call,
            outcome,
            route.replay,
            repeatable=_repeatable(route),
            now=self.node.now(),
            chance=self.node.chance.random(),
        )
        charged = isinstance(facts[0], CallCharged)
        await self._write_down(facts, call, attach=_kept_reply(reply, whole=charged))
        return outcome.accepted

    async def _write_down(
        self,
        facts: Sequence[Fact],
        call: Call,
        key: str | None = None,
        attach: Mapping[int, bytes] | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Record what became of a call, however long it takes: the vendor will not take it back.

        A disk that is full is tried again until it is not. Meanwhile nobody may decide on the call,
        and whoever must answer a caller need not `wait`: the call itself is on disk already, and
        if we die first it is sent again under the same key.
        """
        if not facts:
            return
        by = f"route:{call.route}"
        key = key or f"{by}:{call.about}:{self._new_id()}"
        try:
            await self.node.record(*facts, by=by, key=key, attach=attach)
            return
        except LedgerError as error:
            log.error("what became of %s is not written down yet: %s", call.about, error)
        owed = asyncio.create_task(self._keep_trying(facts, call, key, attach))
        self._owed.add(owed)
        owed.add_done_callback(self._owed.discard)
        if wait:
            await owed

    async def _keep_trying(
        self, facts: Sequence[Fact], call: Call, key: str, attach: Mapping[int, bytes] | None
    ) -> None:
        pause = 0.5
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)
            try:
                await self.node.record(*facts, by=f"route:{call.route}", key=key, attach=attach)
            except LedgerError:
                continue
            self._stirred.set()
            return

    def decide_on(self, about: str) -> bool:
        """Somebody decides on a call: it is not sent while that is written down. False: too late."""
        if about in self.at_vendor:
            return False
        self._decided[about] = asyncio.get_running_loop().time() + 2.0
        return True

    def _just_decided(self, call: Call) -> bool:
        now = asyncio.get_running_loop().time()
        self._decided = {about: until for about, until in self._decided.items() if until > now}
        return call.about in self._decided

    def _not_now(self, name: str) -> float | None:
        """Seconds to wait before this route may send anything, or None."""
        wait = self.breakers[name].retry_after
        return 3600.0 if wait is None else wait or None

    async def _until_due(self, name: str) -> None:
        at = queries.next_due_at(self.node.rows, name)
        wait = 3600.0 if at is None else max(0.05, (at - self.node.now()) / NS)
        await self._stir(wait)

    async def _stir(self, seconds: float) -> None:
        """Wait, or less if something changed."""
        self._stirred.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            pass

    # -- keeping house -----------------------------------------------------------------------

    async def recover(self) -> None:
        """Park what was with the vendor when the node last stopped."""
        for call in queries.unfinished(self.node.rows):
            repeatable = _repeatable(self.work.routes.get(call.route))
            facts = decisions.recover(call, repeatable=repeatable)
            await self.node.record(
                *facts, by="detente:work", key=f"recover:{call.request}:{call.changed_at}"
            )
        await self.breakers.recover()
        await self.drills.recover()

    async def forget(self) -> None:
        """Let the requests and answers of finished calls go once nobody needs them."""
        done = (0, "")
        while True:
            before = later(self.node.clock.now(), -self.work.keep_requests)
            try:
                while old := queries.finished(self.node.rows, after=done, before=before):
                    gone = [at for call in old for at in self._attachments(call)]
                    await self.node.ledger.expire(gone)
                    done = (old[-1].changed_at, old[-1].about)
            except LedgerError as error:
                log.warning("old requests could not be forgotten yet: %s", error)
            await asyncio.sleep(3600)

    def _attachments(self, call: Call) -> list[int]:
        """Where something may be kept of it: one that waited has an answer for each attempt, and may
        have been edited."""
        if call.parked_at is not None:
            every = self.node.ledger.read(Query(subjects=(call.about,)))
            return [recorded.position for recorded in every]
        return [at for at in (call.request, call.answer) if at]

    async def close(self) -> None:
        """Let go of what is under way: it is on disk, and the next start takes it up."""
        under_way = [*self._asked.values(), *self._owed]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _new_id(self) -> str:
        """Sorts by time; six random bytes keep two of one millisecond apart."""
        stamp = f"{self.node.clock.now() // 1_000_000:011x}"
        return f"{stamp}{self.node.chance.getrandbits(48):012x}"


def _set_by(route: Route) -> tuple[str, ...]:
    return (*route.headers, *route.secret_headers, route.idempotency or _IDEMPOTENCY)


def _kept(route: Route, incoming: Incoming, set_by: Sequence[str] | None = None) -> Request:
    """The request less what belongs to one connection and what the route sets itself."""
    named = {alike(name) for name in (_set_by(route) if set_by is None else set_by)}
    return Request(end_to_end(incoming.headers, without=named), incoming.body, incoming.path)


_SAMPLE = 64 * 1024  # bytes; a longer answer that says no is no help to anybody


def _kept_reply(reply: Reply | None, *, whole: bool) -> dict[int, bytes] | None:
    """The vendor's answer as it is kept beside the fact; `whole`: however long it is."""
    if reply is None or (len(reply.body) > _SAMPLE and not whole):
        return None
    return {0: _pack(reply)}


def _asked(incoming: Incoming, key: str) -> str:
    """What was asked under the key, to the letter: SHA-256 of key, method, path and body."""
    said = f"{key}\n{incoming.method}\n{incoming.path}\n"
    return hashlib.sha256(said.encode("utf-8", "surrogateescape") + incoming.body).hexdigest()


_OUR_FAULT = "Détente itself failed at this; its log says more"


def _call(taken: CallTaken, position: int, now: Instant) -> Call:
    """A call as it stands the moment it was taken."""
    return Call(
        about=taken.about,
        route=taken.route,
        vendor=taken.vendor,
        key=taken.key,
        method=taken.method,
        path=taken.path,
        sha256=taken.sha256,
        caller=taken.caller,
        asked=taken.asked,
        state="taken",
        money=taken.money,
        taken_at=now,
        changed_at=now,
        request=position,
    )


def _answered_long_ago(call: Call) -> Outgoing:
    """The vendor answered this key once, and its answer is no longer kept."""
    says = f"this was answered before with HTTP {call.status}; the answer itself is no longer kept"
    if call.state == "refused":
        return problem(call.status or 400, says)
    told = {"id": plain(call.about), "status": call.state, "message": says}
    headers = (("Content-Type", "application/json"), ("Idempotent-Replayed", "true"))
    return Outgoing(200, headers, msgspec.json.encode(told))


def _repeatable(route: Route | None) -> bool:
    """May a call whose fate is unknown be sent again? Only if the vendor would recognise it."""
    return route is not None and route.idempotency is not None


_HANDED_BACK = (
    "this sale was handed back and will not be passed on; sell it anew under a new key, if at all"
)
_OTHER_REQUEST = (
    "this idempotency key was used for another request; use a new key for a new request"
)
