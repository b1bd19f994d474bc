"""What do the queue's own mails say?

One mail a call and person, with an address for the answer that is theirs alone. Identifiers are
computed and not drawn, so a mail that goes out twice (the node died before it was noted) is the same
mail twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.message import EmailMessage

import msgspec

from detente.kernel.clock import Instant, lasting, seconds_between
from detente.kernel.fact import plain
from detente.kernel.mailing import Mail, begun
from detente.work.decisions import Call
from detente.work.engine.letter import Letter

WORDS = (
    ("retry", "send it again as soon as the vendor is there"),
    ("hold 2h", "keep it back, here for two hours; `hold` alone until somebody says so"),
    ("settled REF-4711", "it was done in another way, under this reference; never sent again"),
    ("hand back: why", "look at the vendor first; then whoever sold it sees to it"),
    ("give up: why", "this sale will not be paid; it counts as lost"),
)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail needs to know besides the call."""

    name: str  # of this Détente
    vendor: str
    mail: Mail
    page: str  # address of the call's page
    now: Instant


def thread_id(call: Call, host: str) -> str:
    """The same for every mail that asks about this stay of the call in the queue."""
    return f"<work.{plain(call.about)}.{_short(f'{call.changed_at}')}@{host}>"


def asking(call: Call, setting: Setting, *, to: str, reply_to: str) -> EmailMessage:
    """The mail that says that the call did not run, and what may be answered."""
    message = begun(setting.mail.sender, [to], _subject(call, setting), setting.now)
    thread = thread_id(call, setting.mail.host)
    message["Message-ID"] = f"{thread[:-1].replace('@', '.' + _short(to) + '@')}>"
    message["References"] = thread
    message["Reply-To"] = reply_to
    message.set_content(
        f"{_worth(call)} for {setting.vendor} did not run and waits for a person.\n\n"
        f"    {_why(call)}\n"
        f"    Taken {lasting(max(0.0, seconds_between(call.taken_at, setting.now)))} ago,"
        f" key {call.key}\n\n"
        "Answer this mail with one of these as its first line:\n\n"
        f"{_words(held=call.state == 'held')}\n\n"
        "Nothing else is read, and nothing happens until you are told so by mail.\n"
        f"Everything about it: {setting.page}\n"
    )
    return message


def together(calls: Sequence[Call], setting: Setting, *, to: str) -> EmailMessage:
    """One mail for many calls: too many to ask about each."""
    count = len(calls)
    subject = f"[{setting.name}] {count} calls did not run and wait for a person"
    message = begun(setting.mail.sender, [to], subject, setting.now)
    names = _short(*(each.about for each in calls), to)
    message["Message-ID"] = f"<work.together.{names}@{setting.mail.host}>"
    reasons: dict[str, int] = {}
    for each in calls:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    most = sorted(reasons.items(), key=lambda each: -each[1])[:10]
    lines = "\n".join(f"    {number} × {reason}" for reason, number in most)
    message.set_content(
        f"{count} calls did not run and wait for a person:\n\n{lines}\n\n"
        "They are too many for a mail each; an answer to this one is not read.\n"
        f"Decide on the page: {setting.page}\n"
    )
    return message


def confirming(letter: Letter, setting: Setting, *, done: str, about: str) -> EmailMessage:
    """What was understood, and what happened."""
    text = (
        f"You wrote “{letter.line}”.\n\n"
        f"Done: the call {done}.\n\n"
        f"It was you who decided this, and the queue says so: {setting.page}\n"
    )
    return _answer(letter, setting, text, about)


def explaining(letter: Letter, setting: Setting, *, why: str, about: str) -> EmailMessage:
    """Why nothing happened, and what can be said."""
    wrote = f"You wrote “{letter.line}”. " if letter.line else ""
    text = (
        f"{wrote}Nothing was changed: {why}\n\n"
        f"What can be said, as the first line of an answer in plain text:\n\n{_words()}\n\n"
        f"Everything about the call: {setting.page}\n"
    )
    return _answer(letter, setting, text, about)


def _words(*, held: bool = False) -> str:
    """What can be said, a line each; what is held already is not held again."""
    told = [(word, means) for word, means in WORDS if not (held and word.startswith("hold"))]
    return "\n".join(f"    {word:<18}{means}" for word, means in told)


def _answer(letter: Letter, setting: Setting, text: str, about: str) -> EmailMessage:
    subject = letter.subject if letter.subject[:3].lower() == "re:" else f"Re: {letter.subject}"
    message = begun(
        setting.mail.sender, [letter.sender], subject[:200], setting.now, generated="auto-replied"
    )
    name = _short(letter.message_id, about, text)
    message["Message-ID"] = f"<work.answer.{name}@{setting.mail.host}>"
    if letter.message_id.isascii() and " " not in letter.message_id:
        message["In-Reply-To"] = message["References"] = f"<{letter.message_id[:200]}>"
    message.set_content(text)
    return message


def _subject(call: Call, setting: Setting) -> str:
    return f"[{setting.name}] {_worth(call)} for {setting.vendor} did not run"


def _worth(call: Call) -> str:
    return str(call.money) if call.money else f"A call ({call.method} {call.path})"


def _why(call: Call) -> str:
    said = "may have done it" in call.reason
    doubt = ". The vendor may have done it already." if call.unknown and not said else "."
    return call.reason.rstrip(".") + doubt


def _short(*said: str) -> str:
    return hashlib.sha256("\n".join(said).encode("utf-8", "replace")).hexdigest()[:16]
