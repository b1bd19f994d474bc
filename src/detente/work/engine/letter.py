"""What did somebody answer to our mail, if it was somebody at all?

A mail is read for its first line of its own: not for what it quotes, not for a signature, and not if
a machine wrote it. The few words that mean something mean it only when nothing else stands there that
could mean the contrary; everything else is unclear, and unclear is never acted upon.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Literal

import msgspec

from detente.kernel.clock import NS, Instant, Seconds

Word = Literal["retry", "hold", "settled", "hand back", "give up", "unclear"]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as far as it matters here."""

    sender: str  # the one address in From, in lower case; "" if there is none, or more
    message_id: str
    subject: str
    line: str  # the first line that the sender wrote; "" if there is none
    by_machine: bool  # an automatic answer, a bounce, a mailing list
    only_html: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the line means."""

    word: Word
    seconds: Seconds | None = None  # of a hold
    reference: str = ""
    note: str = ""


# -- reading a mail ------------------------------------------------------------------------------


def read(content: bytes, *, return_path: str) -> Letter:
    """The letter. Never fails: what cannot be read has no line."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    text, only_html = _text(message)
    told = _header(message, "Message-ID").strip("<> ")
    return Letter(
        sender=_sender(message),
        message_id=told or hashlib.sha256(content).hexdigest(),
        subject=_header(message, "Subject"),
        line=own_line(text),
        by_machine=not return_path.strip("<> ") or _by_machine(message),
        only_html=only_html,
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return _plain(str(message.get(name, "")))
    except (ValueError, IndexError, AttributeError, TypeError):  # broken beyond what email can bear
        return ""


def _plain(said: str) -> str:
    """One line of text that can be written anywhere: no signs that forge lines or colours."""
    shown = said.encode("utf-8", "replace").decode()
    return " ".join("".join(each if each.isprintable() else " " for each in shown).split())


def _sender(message: EmailMessage) -> str:
    try:
        found = getaddresses([str(each) for each in message.get_all("From", [])])
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""
    return _plain(found[0][1]).lower() if len(found) == 1 else ""


_MACHINES = ("bulk", "junk", "list", "auto_reply")
_BY_MACHINES = ("X-Autoreply", "X-Autorespond", "X-Auto-Reply", "List-Id", "X-Failed-Recipients")


def _by_machine(message: EmailMessage) -> bool:
    """RFC 3834, and what programs said before it."""
    automatic = _header(message, "Auto-Submitted").partition(";")[0].strip().lower()
    return (
        automatic not in ("", "no")
        or _header(message, "Precedence").lower() in _MACHINES
        or any(_header(message, name) for name in _BY_MACHINES)
        or message.get_content_type() in ("multipart/report", "message/delivery-status")
        or "mailer-daemon@" in _sender(message)
    )


def _text(message: EmailMessage) -> tuple[str, bool]:
    """The plain text, and whether there was only HTML."""
    try:
        part = message.get_body(preferencelist=("plain",))
        if part is not None and not part.is_attachment():
            content = part.get_content()
            return (content if isinstance(content, str) else ""), False
        return "", message.get_body(preferencelist=("html",)) is not None
    except (LookupError, ValueError, AttributeError, TypeError, AssertionError):
        return "", False


# -- the line ------------------------------------------------------------------------------------

_BEGINS_QUOTE = re.compile(
    r"-{2,}\s*(original message|ursprüngliche nachricht|message d'origine|forwarded message).*"
    r"|_{10,}|(from|von|de|da|van|från)\s*:.*|(sent|gesendet|envoyé)\s*:.*",
    re.IGNORECASE,
)
_LONGEST_LINE = 300
_ATTRIBUTION = 4  # lines that "On Monday, … wrote:" may be broken over


def own_line(text: str) -> str:
    """The first line that is neither quoted, nor about a quotation, nor a signature."""
    lines = [line.replace("\xa0", " ").replace("\ufeff", "").rstrip() for line in text.splitlines()]
    kept: list[str] = []
    for line in lines:
        if line.lstrip().startswith(">"):
            _drop_attribution(kept)
            continue
        if line in ("--", "-- ") or line.strip() == "--" or _BEGINS_QUOTE.fullmatch(line.strip()):
            break
        kept.append(line.strip())
    return next((_plain(line)[:_LONGEST_LINE] for line in kept if line), "")


def _drop_attribution(kept: list[str]) -> None:
    """`Am 3. November schrieb Détente:` before a quotation goes with it."""
    last = len(kept)
    while last and not kept[last - 1]:
        last -= 1
    if not last or not kept[last - 1].endswith(":"):
        return
    first = last - 1
    while first and kept[first - 1] and last - first < _ATTRIBUTION:
        first -= 1
    del kept[first:]


# -- the words -----------------------------------------------------------------------------------

_CONTRARY = re.compile(
    r"\b(not|no|don['’]?t|never|nicht|nein|kein\w*|nie|pas|non|stop|wait|warte\w*)\b", re.IGNORECASE
)
_LENGTH = re.compile(
    r"(\d{1,4})\s*(h|hrs?|hours?|m|mins?|minutes?|d|days?|std|stunden?|tage?n?|minuten?)\b\.?",
    re.IGNORECASE,
)
_LONGS = {"h": 3_600.0, "s": 3_600.0, "m": 60.0, "d": 86_400.0, "t": 86_400.0}
_LONGEST_HOLD: Seconds = 8_760 * 3_600.0
_REFERENCE = re.compile(r"(?=\S*\d)[\w./:#-]{1,60}")


def understood(line: str) -> Said:
    """What the line means. Whatever could be read in two ways is unclear."""
    plain = " ".join(line.split()).strip(" .!,;")
    lowered = plain.lower()
    for word, reads in _WORDS:
        if lowered == word or (lowered.startswith(word) and not lowered[len(word)].isalnum()):
            rest = plain[len(word) :].strip()
            return _UNCLEAR if _is_unsure(word, rest) else reads(rest)
    return _UNCLEAR


def _is_unsure(word: str, rest: str) -> bool:
    """Could it mean the contrary? Behind a colon stand reasons, and holding harms nobody."""
    if word == "hold":
        return False
    return "?" in rest or (rest[:1] != ":" and bool(_CONTRARY.search(rest)))


def _retry(rest: str) -> Said:
    polite = rest.strip(" ,.!").lower()
    return (
        Said(word="retry") if polite in ("", "please", "now", "now please", "bitte") else _UNCLEAR
    )


def _hold(rest: str) -> Said:
    if not rest:
        return Said(word="hold")
    if rest[0] in ":-":
        return Said(word="hold", note=_note(rest))
    length = _LENGTH.match(rest.removeprefix("for "))
    if length is None:
        return _UNCLEAR
    seconds = int(length[1]) * _LONGS[length[2][0].lower()]
    if not 0 < seconds <= _LONGEST_HOLD:
        return _UNCLEAR
    note = _note(rest.removeprefix("for ")[length.end() :])
    return Said(word="hold", seconds=seconds, note=note)


def _settled(rest: str) -> Said:
    """With a reference, which has a digit in it, or with a colon and how it was done."""
    if rest[:1] in (":", "-"):
        note = _note(rest)
        return Said(word="settled", note=note) if note else _UNCLEAR
    reference, _, note = rest.partition(" ")
    if not _REFERENCE.fullmatch(reference):
        return _UNCLEAR
    return Said(word="settled", reference=reference, note=_note(note))


def _hand_back(rest: str) -> Said:
    return Said(word="hand back", note=_note(rest))


def _give_up(rest: str) -> Said:
    return Said(word="give up", note=_note(rest))


def _note(rest: str) -> str:
    return rest.strip(" ,:;.-")


_UNCLEAR = Said(word="unclear")
_WORDS = (
    ("retry", _retry),
    ("hold", _hold),
    ("settled", _settled),
    ("settle", _settled),
    ("hand back", _hand_back),
    ("give up", _give_up),
)


# -- the address ---------------------------------------------------------------------------------

_DAY = 86_400 * NS
_SEAL = 12  # bytes
_SIGNS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Answering(msgspec.Struct, frozen=True):
    """What an address for answers says: which call, until which day, and the seal on it."""

    call: str  # without its kind
    day: int  # since 1970
    seal: str


def reply_to(address: str, call: str, recipient: str, until: Instant, secret: bytes) -> str:
    """The address at which that recipient may answer about that call until the end of that day."""
    local, _, host = address.rpartition("@")
    day = until // _DAY
    return f"{local}+{call}.{_base36(day)}.{_seal(call, day, recipient, secret)}@{host}"


def answering(address: str, to: str) -> Answering | None:
    """What the address says; None if it is none of ours."""
    local, _, host = address.lower().rpartition("@")
    name, _, there = to.strip("<> ").lower().rpartition("@")
    parts = name.removeprefix(f"{local}+").split(".")
    if there != host or not name.startswith(f"{local}+") or len(parts) != 3 or not all(parts):
        return None
    if len(parts[1]) > 5 or not all(sign in _SIGNS for sign in parts[1]):
        return None
    return Answering(parts[0], int(parts[1], 36), parts[2])


def is_sealed(asked: Answering, sender: str, secret: bytes) -> bool:
    """Was this address made for that sender?"""
    return hmac.compare_digest(_seal(asked.call, asked.day, sender, secret), asked.seal)


def has_expired(asked: Answering, now: Instant) -> bool:
    return now // _DAY > asked.day


def _seal(call: str, day: int, recipient: str, secret: bytes) -> str:
    """Letters and digits only, and no difference between large and small: mail servers mind neither."""
    said = f"answer\n{call}\n{day}\n{recipient.strip().lower()}".encode()
    digest = hmac.new(secret, said, "sha256").digest()[:_SEAL]
    return base64.b32encode(digest).decode().rstrip("=").lower()


def _base36(number: int) -> str:
    signs = ""
    while number:
        number, rest = divmod(number, 36)
        signs = _SIGNS[rest] + signs
    return signs or "0"


def who(addresses: Sequence[str]) -> list[str]:
    """The bare addresses of what people wrote as addresses, each once."""
    found = [address.strip().lower() for _, address in getaddresses(list(addresses)) if address]
    return list(dict.fromkeys(found))
