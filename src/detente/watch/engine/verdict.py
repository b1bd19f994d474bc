"""Whose fault is it: ours, our network's, theirs, or their whole network's?

Nobody can see the fault itself, only what it leaves standing. So every look at anything counts: the
same thing from another place, its test twin, and whatever else is asked from the same place. A vendor
that answers wrongly was reached, so the network is not to blame; one that is silent while others
answer is silent by itself; a place from which nothing answers is cut off. Where two explanations are
left, the verdict is that nobody can tell, and what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from detente.facts.watch import Fault
from detente.kernel.fact import Subject
from detente.watch.engine.wire import Result

Saw = Literal["answers", "fails", "nothing yet"]
How = Literal["wrong", "turned down", "refused", "silent"]
"""How it failed: an answer that was no good; one that blames our request; a connection that was
refused by the machine; nothing at all came back."""

Role = Literal["it", "twin", "other"]

_OUR_REQUEST = frozenset({400, 401, 403, 407, 422, 429})
_TOOK_THE_CONNECTION = ("first_byte", "transfer")


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one place has seen of one thing since the outage began."""

    role: Role  # the thing itself, its test twin, or something else asked from the same place
    of: Subject
    title: str
    place: str
    where: str = ""  # what people call the place
    network: str  # two places in one network are one witness
    inside: bool  # our own place
    saw: Saw
    how: How = "silent"
    reason: str = ""
    cites: int = 0  # the fact that says so, if one does


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, and what speaks for it. `sure`: more than one independent look says so."""

    fault: Fault
    sure: bool = False
    reasons: tuple[str, ...] = ()
    cites: tuple[int, ...] = ()


def how_it_failed(result: Result) -> How:
    """What a failed run says about how far it came."""
    if result.status is not None:
        return "turned down" if result.status in _OUR_REQUEST else "wrong"
    if result.failed_in == "tls" and result.tls_fingerprint:
        return "wrong"
    if result.failed_in in _TOOK_THE_CONNECTION and result.connect is not None:
        return "wrong"
    return "refused" if "refused" in result.reason else "silent"


def verdict(looks: Sequence[Look], *, theirs: bool, waited: bool) -> Opinion | None:
    """The verdict about a vendor (`theirs`) or something of our own; None if it does not fail.

    `waited`: everybody has had time to look since the outage began.
    """
    if not any(look.role == "it" and look.saw == "fails" for look in looks):
        return None
    if not waited and any(look.saw == "nothing yet" for look in looks):
        return _cannot_tell(looks, "not everything has been asked since it began")
    return Bench(looks).of_a_vendor() if theirs else Bench(looks).of_our_own()


class Bench:
    """All looks at one outage, sorted."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = [look for look in looks if look.saw != "nothing yet"]
        self.fails = self._that("it", "fails")
        self.answers = self._that("it", "answers")
        self.twin_fails = self._that("twin", "fails")
        self.twin_answers = self._that("twin", "answers")

    def _that(self, role: Role, saw: Saw) -> list[Look]:
        return [look for look in self.looks if look.role == role and look.saw == saw]

    def others(self, place: str, saw: Saw) -> list[Look]:
        """Other things as asked from that place, one look each."""
        found = {look.of: look for look in self._that("other", saw) if look.place == place}
        return list(found.values())

    def cut_off(self, place: str) -> bool:
        """Nothing that is asked from there answers."""
        return bool(self.others(place, "fails")) and not self.others(place, "answers")

    def mixed(self, place: str) -> bool:
        """Some things answer from there and some do not."""
        return bool(self.others(place, "fails")) and bool(self.others(place, "answers"))

    # -- a vendor ------------------------------------------------------------------------------------

    def of_a_vendor(self) -> Opinion:
        if all(look.how == "turned down" for look in self.fails):
            said = f"it answers, and turns our request down: {_said(self.fails)}"
            return self._found("ours", said, sure=_witnesses(self.fails) > 1)
        if wrong := [look for look in self.fails if look.how == "wrong"]:
            return self._answers_wrongly(wrong)
        return self._some_reach_it() if self.answers else self._silent()

    def _answers_wrongly(self, wrong: list[Look]) -> Opinion:
        """It was reached, so no network is to blame."""
        said = [f"it was reached and did not answer well: {_said(wrong)}"]
        if self.twin_fails:
            said.append(f"its test twin fails as well: {_said(self.twin_fails)}")
        if self.answers:
            said.append(f"from {_places(self.answers)} it answers")
        sure = not self.answers and (_witnesses(wrong) > 1 or self._others_answer(wrong))
        return self._found("theirs", *said, sure=sure)

    def _some_reach_it(self) -> Opinion:
        """Silent to one place, answering another: it is something on the way."""
        here, there = _places(self.fails), _places(self.answers)
        said = f"from {there} it answers; from {here} it does not"
        if all(self.cut_off(look.place) for look in self.fails):
            more = f"nothing else answers from {here} either"
            return self._found("our network", said, more, sure=True)
        if not any(self.others(look.place, "answers") for look in self.fails):
            return self._found("our network", said)
        more = f"everything else answers from {here}: it is the way between, theirs or ours"
        return self._unknown(said, more)

    def _silent(self) -> Opinion:
        """Nobody reaches it."""
        good = [look for look in self.fails if not self.cut_off(look.place)]
        if not good:
            return self._nothing_answers()
        if clear := [look for look in good if not self.mixed(look.place)]:
            return self._silent_by_itself(clear)
        return self._unknown(
            f"{_said(good)}; failing as well: {self._named('fails', good)},"
            f" answering: {self._named('answers', good)}",
            "that is no pattern: it may be ours, theirs or chance",
        )

    def _nothing_answers(self) -> Opinion:
        here = _places(self.fails)
        others = {look.of for look in self._that("other", "fails")}
        said = f"from {here} nothing answers, {self._named('fails', self.fails)} neither"
        if _witnesses(self.fails) > 1:
            return self._unknown(
                said, "several networks of ours see the same: it is bigger than us"
            )
        if len(others) > 1:
            return self._found("our network", said, sure=False)
        more = "two vendors at once, or our network: another place to look from would tell"
        return self._unknown(said, more)

    def _silent_by_itself(self, clear: list[Look]) -> Opinion:
        places, others = _witnesses(clear), self._others_answer(clear)
        said = [_said(clear)]
        if places > 1:
            said.append(f"from {_places(clear)} it is the same")
        if others:
            said.append(f"answering from the same place: {self._named('answers', clear)}")
        if self.twin_fails:
            said.insert(0, f"its test twin fell together with it: {_said(self.twin_fails)}")
            return self._found("their network", *said, sure=places > 1 or others)
        if self.twin_answers:
            said.insert(0, "its test twin answers, production does not")
            return self._found("theirs", *said, sure=places > 1 or others)
        if places > 1 or others:
            return self._found("theirs", *said, sure=places > 1 and others)
        more = "one place looks and there is nothing to compare: add a test twin, another vendor or another place"
        return self._unknown(*said, more)

    # -- something of our own ------------------------------------------------------------------------

    def of_our_own(self) -> Opinion:
        inside = [look for look in self.fails if look.inside]
        reached = [look for look in self.fails if look.how != "silent"]
        if reached:
            said = f"it was reached and did not answer well: {_said(reached)}"
            sure = _witnesses(reached) > 1 or self._others_answer(reached)
            return self._found("ours", said, sure=sure and not self.answers)
        if self.answers:
            said = (
                f"from {_places(self.answers)} it answers; from {_places(self.fails)} it does not"
            )
            cut_off = all(self.cut_off(look.place) for look in self.fails)
            more = [f"nothing else answers from {_places(self.fails)} either"] if cut_off else []
            return self._found("our network", said, *more, sure=bool(more))
        here = inside or self.fails
        if all(self.cut_off(look.place) for look in here):
            return self._own_and_nothing_else(here)
        others = self._others_answer(here)
        named = self._named("answers", here)
        more = [f"answering from the same place: {named}"] if others else []
        if not more and _witnesses(self.fails) < 2:
            return self._unknown(
                _said(here), "nothing else is asked from here, so it may be our network as well"
            )
        return self._found("ours", _said(here), *more, sure=others)

    def _own_and_nothing_else(self, here: list[Look]) -> Opinion:
        others = {look.of for look in self._that("other", "fails")}
        said = f"from {_places(here)} nothing answers, {self._named('fails', here)} neither"
        if len(others) > 1:
            return self._found("our network", said)
        return self._unknown(said, "two things at once, or our network: more checks would tell")

    # -- in words ------------------------------------------------------------------------------------

    def _others_answer(self, looks: Iterable[Look]) -> bool:
        return any(self.others(look.place, "answers") for look in looks)

    def _named(self, saw: Saw, looks: Iterable[Look]) -> str:
        """Which other things those are, a few by name."""
        titles = {other.title for look in looks for other in self.others(look.place, saw)}
        return _listed(sorted(titles))

    def _found(self, fault: Fault, *reasons: str, sure: bool = False) -> Opinion:
        return Opinion(fault=fault, sure=sure, reasons=reasons, cites=_cites(self.looks))

    def _unknown(self, *reasons: str) -> Opinion:
        return self._found("can't tell", *reasons)


def _cannot_tell(looks: Sequence[Look], *reasons: str) -> Opinion:
    return Opinion(fault="can't tell", reasons=reasons, cites=_cites(looks))


def _cites(looks: Iterable[Look]) -> tuple[int, ...]:
    return tuple(sorted({look.cites for look in looks if look.cites}))


def _witnesses(looks: Iterable[Look]) -> int:
    """How many networks these looks were made from."""
    return len({look.network or look.place for look in looks})


def _places(looks: Iterable[Look]) -> str:
    return _listed(sorted({look.where or look.place for look in looks}))


def _said(looks: Sequence[Look]) -> str:
    return looks[0].reason if looks and looks[0].reason else "no answer"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
