"""What do people who must know read, and what does everybody read in the morning?

One thread a release and team, as the pager does it: the first mail begins it, the others answer it, and
identifiers are computed, so that a mail sent twice is the same mail twice.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Literal

import msgspec

from detente.kernel.clock import Instant, iso, moment
from detente.kernel.fact import Subject, plain
from detente.releases.decisions import Release

Message = Literal["requested", "changed", "withdrawn"]
Pair = tuple[str, str]
Link = tuple[str, str]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one team about one release."""

    release: Release
    team: str
    channel: Literal["mail", "webhook"]
    message: Message
    first: bool
    tells: int
    attempt: int = 1
    not_before: Instant = 0


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a message needs to know besides the release."""

    name: str  # of this Détente
    service: str  # what people call it
    room: str  # address of its page
    calendar: str  # address of the feed
    zone: str
    touches: tuple[str, ...] = ()


def sentence(letter: Letter, setting: Setting) -> str:
    """The whole message in one sentence."""
    release = letter.release
    when = at(release.starts, setting.zone)
    match letter.message:
        case "withdrawn":
            return f"Release {release.number} of {setting.service} will not take place: {release.title}"
        case "changed":
            return f"Release {release.number} of {setting.service} was changed: {release.title}, {when}"
        case _:
            kind = "An emergency release" if release.kind == "emergency" else "A release"
            return f"{kind} of {setting.service} is planned for {when}: {release.title}"


def particulars(letter: Letter, setting: Setting) -> list[Pair]:
    """What whoever must know wants to know next."""
    release = letter.release
    if letter.message == "withdrawn":
        return [("Why", release.outcome.removeprefix("withdrawn").lstrip(": ") or "nobody said")]
    pairs = [
        ("From", at(release.starts, setting.zone)),
        ("Until", at(release.ends, setting.zone)),
        ("Kind", release.kind),
        ("Risk", release.risk),
        ("Touches", ", ".join(setting.touches)),
        ("Who is there", ", ".join(release.people)),
        ("Version", release.version),
        ("Toggles", ", ".join(map(plain, release.toggles))),
        ("At the same time", ", ".join(_called(each) for each in release.overlaps)),
        ("Freeze", release.frozen),
        ("Billing code", release.billing_code),
        ("Plan", release.plan),
        ("Way back", release.back_out),
    ]
    return [(name, value) for name, value in pairs if value]


def mail(
    letter: Letter, setting: Setting, *, sender: str, to: Sequence[str], now: Instant
) -> EmailMessage:
    """The message as a mail in the release's thread."""
    host = _host(sender)
    message = _empty(sender, to, now, list_name=f"releases.{host}")
    thread = _one_line(
        f"[{setting.name}] release {letter.release.number}: {setting.service}, {letter.release.title}"
    )
    message["Subject"] = thread if letter.first else f"Re: {thread}"
    message["Message-ID"] = message_id(letter, host)
    if not letter.first:
        message["In-Reply-To"] = message["References"] = _id(letter, "requested", host)
    links = [("The release", setting.room), ("The calendar, to subscribe to", setting.calendar)]
    said, pairs = sentence(letter, setting), particulars(letter, setting)
    message.set_content(_text(said, pairs, links))
    message.add_alternative(_page(said, [_table(pairs)], links), subtype="html")
    return message


def message_id(letter: Letter, host: str) -> str:
    """The same for the same message, however often it is made."""
    what = f"changed-{letter.tells}" if letter.message == "changed" else letter.message
    return _id(letter, "requested" if letter.first else what, host)


def _id(letter: Letter, what: str, host: str) -> str:
    stamp = f"{letter.release.requested_at // 1_000_000:x}"  # keeps two ledgers' release 12 apart
    return f"<release-{letter.release.number}.{what}.{_plainly(letter.team)}.{stamp}@{host}>"


def hook(letter: Letter, setting: Setting) -> dict[str, Any]:
    """The message for a chat or a program."""
    release = letter.release
    told = [f"{sentence(letter, setting)}."]
    told += [f"{name}: {value}" for name, value in particulars(letter, setting)]
    return {
        "text": "\n".join([*told, setting.room]),
        "message": letter.message,
        "id": f"{release.about}.{letter.team}.{letter.tells}",
        "team": letter.team,
        "release": release.about,
        "service": release.service,
        "title": release.title,
        "kind": release.kind,
        "starts": iso(release.starts),
        "ends": iso(release.ends),
        "touches": list(release.touches),
        "risk": release.risk,
        "url": setting.room,
    }


# -- the morning -------------------------------------------------------------------------------


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the report: its lines, or what stands there when there are none."""

    title: str
    lines: tuple[str, ...]
    nothing: str = ""


def morning_mail(
    *,
    name: str,
    day: str,
    headline: str,
    sections: Sequence[Section],
    link: str,
    sender: str,
    to: Sequence[str],
    team: str,
    now: Instant,
) -> EmailMessage:
    """The report as a mail; the same morning's to the same team has the same Message-ID."""
    host = _host(sender)
    message = _empty(sender, to, now, list_name=f"mornings.{host}")
    message["Subject"] = _one_line(f"[{name}] {day}: {headline}")
    message["Message-ID"] = f"<morning-{day}.{_plainly(team)}@{host}>"
    links = [("The same as a page", link)]
    blocks = [_section_as_text(each) for each in sections if each.lines or each.nothing]
    message.set_content("\n".join([f"{headline}.", "", *blocks, *_links_as_text(links), ""]))
    parts = [_section(each) for each in sections if each.lines or each.nothing]
    message.add_alternative(_page(headline, parts, links), subtype="html")
    return message


def _section_as_text(section: Section) -> str:
    lines = [f"- {each}" for each in section.lines] or [section.nothing]
    return "\n".join([section.title, *lines, ""])


def _section(section: Section) -> str:
    lines = "".join(f"<li>{html.escape(each)}</li>" for each in section.lines)
    body = f'<ul style="margin:0 0 16px;padding-left:20px">{lines}</ul>'
    nothing = f'<p style="margin:0 0 16px;opacity:.7">{html.escape(section.nothing)}</p>'
    title = f'<p style="font-weight:600;margin:0 0 4px">{html.escape(section.title)}</p>'
    return title + (body if section.lines else nothing)


# -- what all of them have in common -----------------------------------------------------------


def at(instant: Instant, zone: str) -> str:
    here = moment(instant, zone)
    return f"{here:%a} {here.day} {here:%b %Y, %H:%M} {here:%Z}"


def _empty(sender: str, to: Sequence[str], now: Instant, *, list_name: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(moment(now))
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = f"<{list_name}>"
    return message


def _text(said: str, pairs: Iterable[Pair], links: Iterable[Link]) -> str:
    lines = [f"{said}.", "", *(f"{name}: {value}" for name, value in pairs)]
    return "\n".join([*lines, *_links_as_text(links), ""])


def _links_as_text(links: Iterable[Link]) -> list[str]:
    return [line for name, address in links for line in ("", f"{name}:", address)]


def _table(pairs: Iterable[Pair]) -> str:
    rows = "".join(
        f'<tr><td style="padding:2px 16px 2px 0;opacity:.7;vertical-align:top">{html.escape(name)}</td>'
        f'<td style="padding:2px 0">{html.escape(value)}</td></tr>'
        for name, value in pairs
    )
    return f'<table style="border-collapse:collapse;margin:0 0 16px">{rows}</table>'


def _page(said: str, parts: Sequence[str], links: Iterable[Link]) -> str:
    buttons = "".join(
        f'<a href="{html.escape(address)}" style="display:inline-block;margin:0 12px 8px 0;'
        f'padding:10px 18px;border:1px solid currentColor;border-radius:6px">{html.escape(name)}</a>'
        for name, address in links
    )
    return (
        '<!doctype html><html lang="en"><head><meta name="color-scheme" content="light dark">'
        '</head><body style="font-family:system-ui,sans-serif;font-size:16px;line-height:1.5">'
        f'<p style="font-size:20px;margin:0 0 12px">{html.escape(said)}.</p>'
        f"{''.join(parts)}<p>{buttons}</p></body></html>\n"
    )


def _called(about: Subject) -> str:
    return about.replace(":", " ", 1)


def _host(sender: str) -> str:
    host = parseaddr(sender)[1].rpartition("@")[2]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", host) or "detente.invalid"


def _plainly(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _one_line(words: str) -> str:
    return " ".join(words.split())
