"""Who is owed which message, and when?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from detente.facts.pager import NotTold, Taken, Told
from detente.kernel.clock import NS, Instant
from detente.kernel.mailing import InVain
from detente.pager import decisions
from detente.pager.decisions import AlreadyTaken, Change, Letter, Mark, Matter

START: Instant = 1_800_000_000 * NS


def s(seconds: float) -> Instant:
    return START + round(seconds * NS)


OPEN = Matter(
    about="incident:12", of="vendor:cardpay", cause="check:cardpay", since=s(-3), reason="refused",
    opened_at=s(0), opened=10,
)  # fmt: skip
TAKEN = replace(OPEN, taken=20, held_by="Ann", held_at=s(30))
CLOSED = replace(TAKEN, closed=30, closed_at=s(120), ended=s(60), lasted=63.0)


def mark(told: int = 0, **more: object) -> Mark:
    return Mark(about="incident:12", team="ops", channel="mail", told=told, **more)  # type: ignore[arg-type]


def owed(matter: Matter, known: Mark | None = None, at: float = 130) -> Letter | None:
    return decisions.letter(matter, "ops", "mail", known, s(at))


def test_the_beginning_is_told_once() -> None:
    """A team that knows nothing is told that it began, and then nothing until something happens."""
    letter = owed(OPEN)
    assert letter is not None
    assert (letter.message, letter.first, letter.tells) == ("opened", True, 10)
    assert owed(OPEN, mark(10)) is None


def test_that_somebody_has_it_is_told_once() -> None:
    """Who was told of the beginning is told who has it, and told again when somebody takes it over."""
    letter = owed(TAKEN, mark(10))
    assert letter is not None
    assert (letter.message, letter.first) == ("taken", False)
    assert owed(TAKEN, mark(20)) is None
    over = owed(replace(TAKEN, taken=25, held_by="Ben"), mark(20))
    assert over is not None
    assert over.tells == 25


def test_the_end_is_told_once() -> None:
    """Who was told of the beginning is told of the end."""
    letter = owed(CLOSED, mark(10))
    assert letter is not None
    assert (letter.message, letter.first, letter.tells) == ("closed", False, 30)
    assert owed(CLOSED, mark(30)) is None


def test_one_message_brings_up_to_date() -> None:
    """A first message that comes late tells who has it already; no second one follows."""
    letter = owed(TAKEN)
    assert letter is not None
    assert (letter.message, letter.tells) == ("opened", 20)


def test_no_stale_beginning() -> None:
    """What was over before a team could be told makes one message that says both."""
    letter = owed(CLOSED, mark(attempts=3, next_at=s(125)))
    assert letter is not None
    assert (letter.message, letter.first, letter.attempt) == ("closed", True, 4)
    assert letter.not_before == s(125)


def test_old_stories_are_not_told() -> None:
    """What was long over when somebody declared the pager is no message at all."""
    assert owed(CLOSED, at=120 + 899) is not None
    assert owed(CLOSED, at=120 + 901) is None
    assert owed(CLOSED, mark(attempts=1), at=9_999) is not None, "it was tried while it was news"
    assert owed(CLOSED, mark(10), at=9_999) is not None, "who heard the beginning hears the end"


def test_taking_after_the_end_is_not_told() -> None:
    """Somebody taking what is over (two people in the same second) adds nothing to the end."""
    assert owed(replace(CLOSED, taken=31), mark(30)) is None


def test_every_way_to_every_team() -> None:
    """Each team hears in each of its ways, of what concerns it, oldest incident first."""
    other = replace(OPEN, about="incident:13", of="vendor:other", opened=11)
    ways = {"vendor:cardpay": [("ops", "mail"), ("ops", "webhook"), ("dev", "mail")]}
    found = decisions.letters([other, OPEN], ways, [mark(10)], s(1))  # type: ignore[arg-type]
    assert [(each.matter.about, *each.way) for each in found] == [
        ("incident:12", "ops", "webhook"), ("incident:12", "dev", "mail"),
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["told", "failed", "taken", "closed"]), max_size=12),
)
def test_whatever_happens_in_the_end_everybody_knows(events: list[str]) -> None:
    """After any mixture of tellings, failures and events, one telling more leaves nothing owed."""
    matter, known, position = OPEN, mark(), 10
    tellings = []
    for event in events:
        position += 1
        letter = owed(matter, known, at=1)
        if event == "told" and letter:
            tellings.append((letter.message, letter.tells))
            known = mark(letter.tells)
        elif event == "failed" and letter:
            known = replace(known, attempts=letter.attempt)
        elif event == "taken" and matter.closed is None:
            matter = replace(matter, taken=position, held_by=f"person {position}")
        elif event == "closed" and matter.closed is None:
            matter = replace(matter, closed=position, closed_at=s(0), ended=s(0))
    last = owed(matter, known, at=1)
    if last:
        tellings.append((last.message, last.tells))
        known = mark(last.tells)
    assert owed(matter, known, at=1) is None
    assert len(set(tellings)) == len(tellings), "nothing is told twice"
    assert [message for message, _ in tellings].count("opened") <= 1
    assert [message for message, _ in tellings].count("closed") <= 1


def test_what_is_noted() -> None:
    """Told says up to which fact; not told says when the next attempt is."""
    letter = owed(TAKEN, mark(10, attempts=1))
    assert letter is not None
    assert decisions.told(letter, ["a@b.c"], "<id>") == [
        Told(
            about="incident:12", team="ops", channel="mail", message="taken", to=("a@b.c",),
            message_id="<id>", tells=20,
        )
    ]  # fmt: skip
    assert decisions.not_told(letter, InVain(reason="refused", wait=10.0), s(0)) == [
        NotTold(
            about="incident:12", team="ops", channel="mail", message="taken", reason="refused",
            attempt=2, next_at=s(10),
        )
    ]  # fmt: skip


def test_taking_it() -> None:
    """Anybody may take it, and take it over; the same person twice is told so."""
    assert decisions.take(OPEN, "Ann", way="link", team="ops") == [
        Taken(about="incident:12", who="Ann", way="link", team="ops")
    ]
    assert decisions.take(TAKEN, "Ben", way="page")
    with pytest.raises(AlreadyTaken):
        decisions.take(TAKEN, "ann", way="page")


def test_a_link_names_incident_and_team() -> None:
    """A link works for its incident and its team, and cannot be made without the secret."""
    teams = ("dev", "ops")
    shown = decisions.token("secret", "incident:12", "ops")
    assert decisions.team_of("secret", "incident:12", shown, teams) == "ops"
    assert decisions.team_of("secret", "incident:13", shown, teams) is None
    assert decisions.team_of("other", "incident:12", shown, teams) is None
    assert decisions.team_of("secret", "incident:12", "", teams) is None
    assert decisions.team_of("secret", "incident:12", "é", teams) is None
    assert len(shown) == 32


def test_without_a_secret_there_are_no_links() -> None:
    """An empty secret would be one that everybody can guess."""
    assert decisions.token("", "incident:12", "ops") == ""
    assert decisions.team_of("", "incident:12", "", ("ops",)) is None


MERGED = replace(CLOSED, into="incident:11", note="it needs what is down there")
INTO = Matter(
    about="incident:11", of="infrastructure:cas", cause="check:cas", since=s(-5), reason="refused",
    opened_at=s(60), opened=25,
)  # fmt: skip


def test_what_goes_on_elsewhere_is_not_told_as_over() -> None:
    """Who heard the beginning hears in which incident it goes on."""
    letter = owed(MERGED, mark(10))
    assert letter is not None
    assert letter.message == "merged"


def test_who_has_it_has_what_it_goes_on_as() -> None:
    """Once, and only where nobody has that one yet and it is not over."""
    assert decisions.passed_on(MERGED, INTO) == [
        Taken(about="incident:11", who="Ann", way="merged")
    ]
    held = replace(INTO, taken=27, held_by="Ben")
    for into in (held, replace(INTO, closed=28), None):
        assert decisions.passed_on(MERGED, into) == []
    assert decisions.passed_on(replace(MERGED, held_by=None), INTO) == []


CHANGE = Change(
    about="change:abc", title="move it", state="planned", at=s(7_200), said_at=s(0), newest=40,
    central=("infrastructure:cas",), tell=("team:ops",),
)  # fmt: skip


def noticed(change: Change, told: int = 0, at: float = 1, **more: object) -> str | None:
    known = Mark(about="change:abc", team="ops", channel="mail", told=told, **more)  # type: ignore[arg-type]
    notice = decisions.notice(change, "ops", "mail", known, s(at))
    return notice.message if notice else None


def test_a_change_is_told_once() -> None:
    """That it is planned, or that it was made if nobody said so before; and that it is dropped."""
    made = replace(CHANGE, state="made", at=s(60), said_at=s(60), newest=50)
    dropped = replace(CHANGE, state="dropped", said_at=s(60), newest=50)
    assert noticed(CHANGE) == "planned"
    assert noticed(CHANGE, told=40) is None
    assert noticed(made) == "made"
    assert noticed(made, told=40) is None
    assert noticed(dropped, told=40) == "dropped"
    assert noticed(dropped) is None
    assert noticed(dropped, told=50) is None


def test_old_changes_are_not_told() -> None:
    """A plan is news until its time has come, what was made for a quarter of an hour."""
    made = replace(CHANGE, state="made", at=s(-86_400))
    assert noticed(CHANGE, at=7_199) == "planned"
    assert noticed(CHANGE, at=7_201) is None
    assert noticed(made, at=899) == "made"
    assert noticed(made, at=901) is None
    assert noticed(made, at=9_999, attempts=3) == "made", "it was tried while it was news"
