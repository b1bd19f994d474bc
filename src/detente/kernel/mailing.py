"""How does a message reach people, by mail or in their chat, and when is it the same message again?

A mail that was handed over and not noted (the node died in between) goes out a second time, so its
identifier is computed from what it says and never drawn: good mail programs show it once. All mails
about one thing to one team are one thread: the first begins it, the others answer the first under the
same subject, because mail programs go by either.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from detente.kernel.clock import Instant, Seconds, moment
from detente.kernel.config import Address, Mistake, Secret, Webhook
from detente.kernel.fact import Subject
from detente.kernel.network import (
    MailServer,
    Network,
    NoAnswer,
    NotReached,
    Unwelcome,
    is_loopback,
)

Channel = Literal["mail", "webhook"]
WAYS: Mapping[str, str] = {"mail": "by mail", "webhook": "in the chat"}

# -- what people declare ---------------------------------------------------------------------------


class Mail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where mail is handed over, and in whose name: the one place for everything that writes mails."""

    server: Annotated[Address, Meta(description="your mail provider: smtp.example.com:587")]
    sender: Annotated[str, Meta(description="for example Détente <detente@example.com>")] = (
        msgspec.field(name="from")
    )
    user: Annotated[str | None, Meta(description="who signs on at the mail server")] = None
    password: Annotated[Secret | None, Meta(description="where it is found, by reference")] = None
    tls: Annotated[
        Literal["none", "starttls", "implicit"],
        Meta(description="starttls: encrypt after connecting; implicit: encrypted from the start"),
    ] = "starttls"

    @property
    def host(self) -> str:
        """What stands behind the @ of the sender: identifiers must be ours alone."""
        host = parseaddr(self.sender)[1].rpartition("@")[2]
        return re.sub(r"[^A-Za-z0-9.-]+", "-", host) or "detente.invalid"

    def opened(self) -> MailServer:
        """With its password. Raises SecretMissing."""
        return MailServer(
            host=self.server.host,
            port=self.server.port,
            user=self.user,
            password=self.password.reveal() if self.password is not None else None,
            tls=self.tls,
        )


def mistakes(mail: Mail) -> Iterator[Mistake]:
    """A sender nobody could answer, half a login, a password that everybody could read."""
    if not is_address(mail.sender):
        says = f"{mail.sender} holds no mail address; write Détente <detente@example.com>"
        yield Mistake(("mail", "from"), says)
    if (mail.user is None) != (mail.password is None):
        there, missing = ("user", "password") if mail.password is None else ("password", "user")
        yield Mistake(("mail", there), f"a {there} without a {missing} is of no use")
    if mail.password is not None and mail.tls == "none" and not is_loopback(mail.server.host):
        says = "without encryption everybody on the way could read the password; say starttls"
        yield Mistake(("mail", "tls"), says)


MOVED = "mail servers are declared once, under mail: at the top of this file"
"""What a slice says whose own mail server somebody tries to declare."""


def unsent(path: tuple[str | int, ...], who: str) -> Mistake:
    """Somebody is written to, and nothing says how: `who` is written to by mail."""
    says = (
        f"{who} by mail, and nothing says how mail is sent: declare at the top of this file"
        " `mail: {server: smtp.example.com:587, from: detente@example.com}`"
    )
    return Mistake(path, says)


def is_address(written: str) -> bool:
    """Could a mail be written to it?"""
    _, address = parseaddr(written)
    name, _, host = address.rpartition("@")
    return bool(name and host) and not any(each.isspace() for each in address)


def wrong_addresses(path: tuple[str | int, ...], written: Sequence[str]) -> Iterator[Mistake]:
    """Each that is none, where it stands."""
    for index, address in enumerate(written):
        if not is_address(address):
            says = f"{address} is not a mail address such as ops@example.com"
            yield Mistake((*path, index), says)


# -- what stands in a message ----------------------------------------------------------------------

Pair = tuple[str, str]
Link = tuple[str, str]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part under a title: its lines, or what stands there when there are none."""

    title: str
    lines: tuple[str, ...]
    nothing: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says, before it is a mail, a page or a line in a chat."""

    sentence: str  # all of it in one, without its full stop
    pairs: tuple[Pair, ...] = ()  # what people want to know next
    sections: tuple[Section, ...] = ()
    links: tuple[Link, ...] = ()  # where to go from here, the most important first


def text(content: Content) -> str:
    """As plain text."""
    lines = [f"{content.sentence}.", "", *(f"{name}: {value}" for name, value in content.pairs)]
    for section in _told(content):
        lines += [section.title, *([f"- {each}" for each in section.lines] or [section.nothing])]
        lines += [""]
    for name, address in content.links:
        lines += ["", f"{name}:", address]
    return "\n".join([*lines, ""])


def line(content: Content) -> str:
    """For a chat, which makes its own paragraphs."""
    said = [f"{content.sentence}.", *(f"{name}: {value}" for name, value in content.pairs)]
    return "\n".join([*said, *(f"{name}: {address}" for name, address in content.links)])


def page(content: Content) -> str:
    """As simple HTML that reads in the dark and in the light."""
    rows = "".join(
        f'<tr><td style="padding:2px 16px 2px 0;opacity:.7;vertical-align:top">{html.escape(name)}</td>'
        f'<td style="padding:2px 0">{html.escape(value)}</td></tr>'
        for name, value in content.pairs
    )
    table = (
        f'<table style="border-collapse:collapse;margin:0 0 16px">{rows}</table>' if rows else ""
    )
    buttons = "".join(
        f'<a href="{html.escape(address)}" style="display:inline-block;margin:0 12px 8px 0;'
        f'padding:10px 18px;border:1px solid currentColor;border-radius:6px;{_WEIGHT[index > 0]}">'
        f"{html.escape(name)}</a>"
        for index, (name, address) in enumerate(content.links)
    )
    return (
        '<!doctype html><html lang="en"><head><meta name="color-scheme" content="light dark">'
        '</head><body style="font-family:system-ui,sans-serif;font-size:16px;line-height:1.5">'
        f'<p style="font-size:20px;margin:0 0 12px">{html.escape(content.sentence)}.</p>'
        f"{table}{''.join(map(_section, _told(content)))}<p>{buttons}</p></body></html>\n"
    )


_WEIGHT = {False: "font-weight:600", True: ""}


def _told(content: Content) -> list[Section]:
    return [each for each in content.sections if each.lines or each.nothing]


def _section(section: Section) -> str:
    title = f'<p style="font-weight:600;margin:0 0 4px">{html.escape(section.title)}</p>'
    if not section.lines:
        nothing = html.escape(section.nothing)
        return f'{title}<p style="margin:0 0 16px;opacity:.7">{nothing}</p>'
    lines = "".join(f"<li>{html.escape(each)}</li>" for each in section.lines)
    return f'{title}<ul style="margin:0 0 16px;padding-left:20px">{lines}</ul>'


# -- the mail --------------------------------------------------------------------------------------


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """The mails about one thing to one team or person."""

    about: Subject  # incident:12
    began: Instant  # keeps apart the incidents 12 of two ledgers
    hearer: str
    subject: str
    begins_with: str  # what its first mail is called

    def named(self, what: str, host: str) -> str:
        """The identifier of one of its mails: the same for the same mail, however often it is made."""
        noun, _, number = self.about.partition(":")
        hearer = re.sub(r"[^A-Za-z0-9_-]+", "-", self.hearer)
        stamp = f"{self.began // 1_000_000:x}"
        return f"<{noun}-{number}.{what}.{hearer}.{stamp}@{host}>"


def begun(
    sender: str, to: Sequence[str], subject: str, now: Instant, *, generated: str = "auto-generated"
) -> EmailMessage:
    """A mail with all that a mail of a machine says, and nothing in it yet."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = one_line(subject)
    message["Date"] = format_datetime(moment(now))
    message["Auto-Submitted"] = generated  # RFC 3834: no "I am on holiday" in answer
    message["X-Auto-Response-Suppress"] = "All"
    return message


def composed(
    content: Content,
    mail: Mail,
    thread: Thread,
    what: str,
    *,
    to: Sequence[str],
    now: Instant,
    first: bool,
    urgent: bool = False,
) -> EmailMessage:
    """The mail called `what` of that thread. All but the `first` one sent answer the thread's first."""
    subject = thread.subject if first else f"Re: {thread.subject}"
    message = begun(mail.sender, to, subject, now)
    message["Message-ID"] = thread.named(what, mail.host)
    if not first:
        message["In-Reply-To"] = message["References"] = thread.named(thread.begins_with, mail.host)
    if urgent:
        message["Importance"] = "high"
    message["List-Id"] = f"<{thread.about.partition(':')[0]}s.{mail.host}>"
    message.set_content(text(content))
    message.add_alternative(page(content), subtype="html")
    return message


def one_line(words: str) -> str:
    """Without line breaks and signs that forge lines or colours."""
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())


def masked(address: str) -> str:
    """'a…@example.com': enough to recognise, too little to write to."""
    name, at, host = address.rpartition("@")
    return f"{name[:1]}…{at}{host}" if at else f"{address[:1]}…"


# -- handing it over -------------------------------------------------------------------------------


class TurnedDown(NotReached):
    """The mail server took the mail for nobody."""

    def __init__(self, says: str, *, for_good: bool) -> None:
        super().__init__(says)
        self.for_good = for_good


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server took it: for whom, and for whom not."""

    to: tuple[str, ...]
    refused: tuple[Unwelcome, ...] = ()


async def hand_over(
    network: Network, mail: Mail, message: EmailMessage, to: Sequence[str]
) -> HandedOver:
    """Once. Raises TurnedDown, NotReached, NoAnswer, SecretMissing."""
    refused = await network.mail(message, mail.opened())
    unwelcome = {each.to for each in refused}
    accepted = tuple(each for each in to if parseaddr(each)[1] not in unwelcome)
    if refused and not accepted:
        for_good = all(each.for_good for each in refused)
        raise TurnedDown(f"{mail.server} refuses {in_their_words(refused)}", for_good=for_good)
    return HandedOver(to=accepted, refused=refused)


def in_their_words(refused: Sequence[Unwelcome]) -> str:
    """'a…@example.com: 550 no such user'. Servers like to repeat the address; we do not."""
    told = ((masked(each.to), each.reason.replace(each.to, masked(each.to))) for each in refused)
    return "; ".join(f"{to}: {said}" for to, said in told)


_CHAT_TIMEOUT: Seconds = 10.0


async def call_chat(network: Network, webhook: Webhook, said: Mapping[str, Any]) -> str:
    """Once; answers with the chat's host. Raises NotReached, NoAnswer, SecretMissing."""
    url = webhook.reveal()
    headers = {"Content-Type": "application/json", "User-Agent": "Detente"}
    body = msgspec.json.encode(said)
    try:
        reply = await network.call("POST", url, headers=headers, body=body, timeout=_CHAT_TIMEOUT)
    except (NotReached, NoAnswer) as error:
        # A chat's address is as good as a password: it is not written down.
        raise type(error)(str(error).replace(url, "the chat's address")) from None
    if not 200 <= reply.status < 300:
        raise NotReached(f"the chat answered HTTP {reply.status}")
    return webhook.host


_FIRST_WAIT: Seconds = 5.0
_LONGEST_WAIT: Seconds = 300.0
_FOR_GOOD: Seconds = 3_600.0  # somebody has to put it right first


def wait_after(attempt: int, chance: float) -> Seconds:
    """Doubling waits up to five minutes, each shortened by up to a quarter so that tries spread."""
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt - 1, 30))
    return wait * (1 - chance / 4)


class InVain(msgspec.Struct, frozen=True, kw_only=True):
    """It was not handed over: why, and how long to wait before the next try."""

    reason: str
    wait: Seconds


def in_vain(error: Exception, attempt: int, chance: float) -> InVain:
    """What to note of an attempt that failed, whatever it was."""
    for_good = isinstance(error, TurnedDown) and error.for_good
    wait = _FOR_GOOD if for_good else wait_after(attempt, chance)
    return InVain(reason=str(error) or type(error).__name__, wait=wait)
