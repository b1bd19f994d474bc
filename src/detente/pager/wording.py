"""What does a message say?

One thread an incident and team: the first mail begins it, the others answer the first, and all have
the same subject, because mail programs go by either. Identifiers are computed and not drawn, so a
mail sent twice (the node died between the server's yes and our note of it) is the same mail twice.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

import msgspec

from detente.kernel.clock import Instant, iso, lasting, moment
from detente.kernel.fact import plain
from detente.pager.decisions import Letter
from detente.pager.settings import EVERYBODY


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a message needs to know besides the incident."""

    name: str  # of this Détente: stands in the subject
    title: str  # what people call the vendor or service
    noticed_by: str
    needed_by: tuple[str, ...] = ()  # services that cannot work without it
    measures: tuple[str, ...] = ()  # what Détente does about it
    room: str  # address of the incident's page
    take: str | None = None  # address of "I have it"
    paged: str = ""  # why this one is paged, if somebody is


def sentence(letter: Letter, setting: Setting) -> str:
    """The whole message in one sentence."""
    matter = letter.matter
    match letter.message:
        case "opened":
            return f"{setting.title} is down: {matter.reason}"
        case "again":
            return f"Nobody has it yet: {setting.title} is down: {matter.reason}"
        case "taken":
            return f"{matter.held_by} has it: {setting.title} is down"
        case "closed" if matter.note:
            return f"Closed after {lasting(matter.lasted)}: {setting.title}: {matter.note}"
        case "closed":
            return f"{setting.title} works again; it was down for {lasting(matter.lasted)}"


def particulars(letter: Letter, setting: Setting) -> list[tuple[str, str]]:
    """What both sides want to know next, as pairs."""
    matter = letter.matter
    pairs = [("Down since" if letter.message != "closed" else "Was down from", _at(matter.since))]
    if letter.message == "closed":
        pairs += [("to", _at(matter.ended or matter.closed_at or matter.since))]
        pairs += [("Reason", matter.reason)]
        if letter.first:
            pairs += [
                ("Note", "this is the first message about it: it was over before you were told")
            ]
    else:
        pairs += [("Noticed by", setting.noticed_by)]
        if setting.paged:
            pairs += [("You are paged because", setting.paged)]
        if letter.message == "taken":
            pairs += [("Reason", matter.reason)]
        if setting.needed_by:
            pairs += [("Cannot work without it", ", ".join(setting.needed_by))]
        pairs += [("Meanwhile", each) for each in setting.measures]
    had = "Who has it" if letter.message != "closed" else "Who had it"
    pairs += [(had, matter.held_by or ("nobody yet" if letter.message != "closed" else "nobody"))]
    return pairs


def links(letter: Letter, setting: Setting) -> list[tuple[str, str]]:
    """Where to go from here."""
    take = setting.take if letter.message != "closed" else None
    return [*([("I have it", take)] if take else []), ("The incident", setting.room)]


def mail(
    letter: Letter, setting: Setting, *, sender: str, to: Sequence[str], now: Instant
) -> EmailMessage:
    """The message as a mail in the incident's thread."""
    host = _host(sender)
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    thread = _one_line(f"[{setting.name}] incident {letter.matter.number}: {setting.title}")
    message["Subject"] = thread if letter.first else f"Re: {thread}"
    message["Date"] = format_datetime(moment(now))
    message["Message-ID"] = message_id(letter, host)
    if not letter.first:
        message["In-Reply-To"] = message["References"] = _id(letter, "opened", host)
    if letter.step:
        message["Importance"] = "high"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no "I am on holiday" in answer
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = f"<incidents.{host}>"
    message.set_content(text(letter, setting))
    message.add_alternative(page(letter, setting), subtype="html")
    return message


def message_id(letter: Letter, host: str) -> str:
    """The same for the same message, however often it is made."""
    numbers = {"taken": f"-{letter.tells}", "again": f"-{letter.step}"}
    what = letter.message + numbers.get(letter.message, "")
    return _id(letter, what, host)


def _id(letter: Letter, what: str, host: str) -> str:
    # The moment of opening keeps apart the incidents 12 of two ledgers.
    stamp = f"{letter.matter.opened_at // 1_000_000:x}"
    team = re.sub(r"[^A-Za-z0-9_-]+", "-", letter.team)
    return f"<incident-{letter.matter.number}.{what}.{team}.{stamp}@{host}>"


def text(letter: Letter, setting: Setting) -> str:
    """The message as plain text."""
    pairs = particulars(letter, setting)
    lines = [f"{sentence(letter, setting)}.", ""]
    lines += [f"{name}: {value}" for name, value in pairs]
    for name, address in links(letter, setting):
        lines += ["", f"{name}:", address]
    return "\n".join([*lines, ""])


def page(letter: Letter, setting: Setting) -> str:
    """The same as simple HTML that reads in the dark and in the light."""
    rows = "".join(
        f'<tr><td style="padding:2px 16px 2px 0;opacity:.7;vertical-align:top">{html.escape(name)}</td>'
        f'<td style="padding:2px 0">{html.escape(value)}</td></tr>'
        for name, value in particulars(letter, setting)
    )
    buttons = "".join(
        f'<a href="{html.escape(address)}" style="display:inline-block;margin:0 12px 8px 0;'
        f'padding:10px 18px;border:1px solid currentColor;border-radius:6px;{_WEIGHT[index > 0]}">'
        f"{html.escape(name)}</a>"
        for index, (name, address) in enumerate(links(letter, setting))
    )
    return (
        '<!doctype html><html lang="en"><head><meta name="color-scheme" content="light dark">'
        '</head><body style="font-family:system-ui,sans-serif;font-size:16px;line-height:1.5">'
        f'<p style="font-size:20px;margin:0 0 12px">{html.escape(sentence(letter, setting))}.</p>'
        f'<table style="border-collapse:collapse;margin:0 0 16px">{rows}</table>'
        f"<p>{buttons}</p></body></html>\n"
    )


_WEIGHT = {False: "font-weight:600", True: ""}


def hook(letter: Letter, setting: Setting) -> dict[str, Any]:
    """The message for a chat or a program. `text` is what Slack, Mattermost and their like show."""
    matter = letter.matter
    told = [f"{sentence(letter, setting)}."]
    told += [f"{name}: {value}" for name, value in particulars(letter, setting)]
    told += [f"{name}: {address}" for name, address in links(letter, setting)]
    return {
        "text": "\n".join(told),
        "message": letter.message,
        "id": f"{matter.about}.{letter.team}.{letter.tells}"
        + (f".{letter.step}" if letter.message == "again" else ""),
        "team": letter.team,
        "paged": bool(letter.step),
        "incident": matter.about,
        "of": matter.of,
        "title": setting.title,
        "reason": matter.reason,
        "cause": matter.cause,
        "since": iso(matter.since),
        "ended": iso(matter.ended) if matter.ended else None,
        "lasted_seconds": matter.lasted if matter.ended else None,
        "held_by": matter.held_by,
        "note": matter.note,
        "needed_by": list(setting.needed_by),
        "measures": list(setting.measures),
        "url": setting.room,
        "take_url": setting.take if letter.message != "closed" else None,
    }


def paged(letter: Letter) -> str:
    """Why somebody is paged, in their words."""
    if not letter.step:
        return ""
    if letter.because in (letter.team, ""):
        return "nobody has it yet"
    if letter.because == EVERYBODY:
        return "nobody has it yet, so everybody is"
    return f"you are on call ({letter.because})"


def _at(instant: Instant) -> str:
    here = moment(instant)
    return f"{here:%a} {here.day} {here:%b %Y, %H:%M:%S} UTC"


def _host(sender: str) -> str:
    """The part after the @: identifiers must be ours alone, and mail filters look at it."""
    host = parseaddr(sender)[1].rpartition("@")[2]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", host) or "detente.invalid"


def _one_line(words: str) -> str:
    return " ".join(words.split())


def noticed_by(cause: str) -> str:
    """'the check cardpay', 'the route charge'."""
    noun, _, _ = cause.partition(":")
    return f"the {noun} {plain(cause)}"
