"""What does the vendor say they charged, and is it what we say?

A vendor's statement is a CSV: which columns mean what is declared, the rest is found out from the
file or asked for. Then every line of theirs is laid beside a call of ours. Nothing is guessed: a line
that can be read in two ways is a mistake, told with its number.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from detente.kernel.money import Money, money
from detente.work.settings import Statement

Kind = Literal[
    "only ours", "only theirs", "amount differs", "double", "not ours to charge", "given back"
]

_MOST_MISTAKES = 8
_HEADER_WITHIN = 25  # lines: some exports begin with an address and a date


class BadStatement(Exception):
    """The file cannot be read as a statement; the message names the lines and what to do."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of theirs."""

    number: int  # in the file, as an editor counts
    reference: str
    money: Money  # less than nothing: given back
    charged: bool  # by its status


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """One call of ours, as far as books go."""

    about: str
    reference: str
    state: str
    money: Money | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the two books do not agree on."""

    kind: Kind
    reference: str
    ours: Money | None = None
    theirs: Money | None = None
    state: str = ""  # of our call
    lines: tuple[int, ...] = ()
    about: str = ""  # our call


class Compared(msgspec.Struct, frozen=True):
    """What came of laying the books side by side."""

    matched: tuple[str, ...]  # our calls
    worth: tuple[Money, ...]  # of what they charged for those
    differences: tuple[Difference, ...]


# -- reading -------------------------------------------------------------------------------------


def read(content: bytes, how: Statement) -> list[Line]:
    """Every line of the statement. Raises BadStatement with all that is wrong, up to some lines."""
    text = _text(content)
    rows, columns, first = _rows(text, how)
    lines: list[Line] = []
    wrong: list[str] = []
    decimal = how.decimal or _decimal(
        [row[columns["amount"]] for _, row in rows if _fits(row, columns)]
    )
    for number, row in rows:
        try:
            lines.append(_line(number, row, columns, how, decimal))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f" … and {len(wrong) - _MOST_MISTAKES} more" if len(wrong) > _MOST_MISTAKES else ""
        raise BadStatement("; ".join(wrong[:_MOST_MISTAKES]) + more)
    if not lines:
        raise BadStatement(f"line {first}: nothing stands below the names of the columns")
    return lines


def _text(content: bytes) -> str:
    if not content.strip():
        raise BadStatement("the file is empty")
    if content[:2] in (b"PK", b"\xd0\xcf"):
        raise BadStatement("this is a spreadsheet; save it as CSV and send that")
    for encoding in (
        ("utf-8-sig", "utf-16") if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",)
    ):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", "replace")


Rows = list[tuple[int, list[str]]]


def _rows(text: str, how: Statement) -> tuple[Rows, Mapping[str, int], int]:
    """The rows below the header with their line numbers, where each column is, and the header's line."""
    wanted = _wanted(how)
    closest: list[str] = []
    for delimiter in [how.delimiter] if how.delimiter else [",", ";", "\t", "|"]:
        rows = _parsed(text, delimiter)
        for index, (number, row) in enumerate(rows[:_HEADER_WITHIN]):
            names = [each.strip().casefold() for each in row]
            if all(name.casefold() in names for name in wanted.values()):
                _refuse_twins(names, wanted, number)
                columns = {key: names.index(name.casefold()) for key, name in wanted.items()}
                return [each for each in rows[index + 1 :] if any(each[1])], columns, number
            if len(row) > len(closest):
                closest = [each.strip() for each in row]
    missing = [
        name for name in wanted.values() if name.casefold() not in map(str.casefold, closest)
    ]
    raise BadStatement(_no_column(missing or list(wanted.values()), closest))


def _parsed(text: str, delimiter: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: Rows = []
    begins = 1
    try:
        for row in reader:
            rows.append((begins, [each.strip() for each in row]))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadStatement(f"line {begins}: {error}") from None
    return rows


def _wanted(how: Statement) -> dict[str, str]:
    wanted = {"reference": how.reference, "amount": how.amount}
    if not _is_code(how.currency):
        wanted["currency"] = how.currency
    if how.status is not None:
        wanted["status"] = how.status
    return wanted


def _is_code(currency: str) -> bool:
    return len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()


def _refuse_twins(names: Sequence[str], wanted: Mapping[str, str], number: int) -> None:
    for name in wanted.values():
        if names.count(name.casefold()) > 1:
            raise BadStatement(f"line {number}: two columns are called {name}; rename one of them")


def _no_column(missing: Sequence[str], there: Sequence[str]) -> str:
    near = difflib.get_close_matches(missing[0], there, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(there[:20]) or 'none'}."
    others = f" (nor {', '.join(missing[1:])})" if len(missing) > 1 else ""
    return f"no column is called {missing[0]}{others}; {hint} Say which is which under statement:"


def _fits(row: Sequence[str], columns: Mapping[str, int]) -> bool:
    return len(row) > max(columns.values())


def _line(
    number: int, row: Sequence[str], columns: Mapping[str, int], how: Statement, decimal: str
) -> Line:
    if not _fits(row, columns):
        raise ValueError(f"it ends after {len(row)} columns")
    reference = row[columns["reference"]]
    if not reference:
        raise ValueError(f"{how.reference} is empty")
    currency = row[columns["currency"]].upper() if "currency" in columns else how.currency
    charged = True
    if "status" in columns:
        charged = row[columns["status"]].casefold() in {each.casefold() for each in how.charged}
    amount = _amount(row[columns["amount"]], decimal)
    return Line(
        number=number,
        reference=reference,
        money=money(amount, currency, unit=how.unit),
        charged=charged,
    )


_SPACES = re.compile(r"[\s\u00a0\u202f'’]")
_AROUND = re.compile(r"^[A-Z]{3}|[A-Z]{3}$|[€$£¥]")
_FIGURE = re.compile(r"[+-]?\d[\d.,]*-?")


def _bare(said: str) -> str:
    """Figures and signs alone: without spaces, currency, and brackets that mean minus."""
    bare = _AROUND.sub("", _SPACES.sub("", said))
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    if not _FIGURE.fullmatch(bare):
        raise ValueError(f"{said!r} is not an amount")
    return f"-{bare[:-1]}" if bare.endswith("-") else bare


def _amount(said: str, decimal: str) -> Decimal:
    bare = _bare(said)
    other = "," if decimal == "." else "."
    whole, _, cents = bare.partition(decimal)
    if decimal in cents or other in cents or not _grouped(whole, other):
        raise ValueError(f"{said!r} is not an amount with {decimal!r} before the cents")
    try:
        return Decimal(f"{whole.replace(other, '')}.{cents or 0}")
    except InvalidOperation:
        raise ValueError(f"{said!r} is not an amount") from None


def _grouped(whole: str, by: str) -> bool:
    """`1,234,567` yes, `12,34` no."""
    first, *groups = whole.lstrip("+-").split(by)
    return all(len(group) == 3 for group in groups) and (not groups or 0 < len(first) <= 3)


def _decimal(amounts: Iterable[str]) -> str:
    """The sign before the cents, from all amounts together. Raises BadStatement if nobody can tell."""
    votes = {vote for said in amounts if (vote := _vote(said)) is not None}
    votes_for = votes & {".", ","}
    if len(votes_for) > 1:
        raise BadStatement(
            "some amounts have a point before the cents and others a comma; say decimal:"
        )
    if votes_for:
        return votes_for.pop()
    if "?" in votes:
        raise BadStatement("1.234 can be a thousand or a little more than one here; say decimal:")
    return "."


def _vote(said: str) -> str | None:
    """The sign before the cents in this amount; '?' if it could be either, None if there is none."""
    signs = [sign for sign in said if sign in ".,"]
    if not signs:
        return None
    last = signs[-1]
    if len(set(signs)) == 2:
        return last
    if len(signs) > 1:
        return "." if last == "," else ","
    behind = len(re.sub(r"\D", "", said.rpartition(last)[2]))
    return "?" if behind == 3 else last


# -- comparing -----------------------------------------------------------------------------------

_OURS_TO_CHARGE = ("charged", "settled", "refunded", "taken")


def compare(ours: Iterable[Ours], expected: Iterable[Ours], theirs: Sequence[Line]) -> Compared:
    """Lay theirs beside ours. `expected`: calls of ours that should stand in the statement."""
    known = {each.reference: each for each in ours}
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in theirs:
        if line.charged:
            lines[line.reference].append(line)
    differences: list[Difference] = []
    matched: list[str] = []
    worth: dict[str, int] = {}
    for reference, found in lines.items():
        here = list(_beside(known.get(reference), reference, found))
        differences += here
        if not here:
            matched.append(known[reference].about)
            for line in found:
                worth[line.money.currency] = worth.get(line.money.currency, 0) + line.money.minor
    differences += [
        Difference(kind="only ours", reference=each.reference, ours=each.money, state=each.state, about=each.about)
        for each in expected
        if each.reference not in lines
    ]  # fmt: skip
    sums = tuple(Money(minor, currency) for currency, minor in sorted(worth.items()))
    return Compared(tuple(matched), sums, tuple(differences))


def _beside(ours: Ours | None, reference: str, lines: Sequence[Line]) -> Iterator[Difference]:
    """What does not agree about one reference."""
    taken = [line for line in lines if line.money.minor >= 0]
    back = [line for line in lines if line.money.minor < 0]
    first = taken[0] if taken else back[0]
    numbers = tuple(line.number for line in lines)

    def differs(kind: Kind, theirs: Money) -> Difference:
        return Difference(
            kind=kind, reference=reference, theirs=theirs, lines=numbers,
            ours=ours.money if ours else None, state=ours.state if ours else "",
            about=ours.about if ours else "",
        )  # fmt: skip

    if ours is None:
        yield differs("only theirs", first.money)
        return
    if taken and ours.state not in _OURS_TO_CHARGE:
        yield differs("not ours to charge", first.money)
        return
    if len(taken) > 1 and len(taken) > len(back) + 1:
        yield differs("double", taken[1].money)
    if taken and ours.money is not None and first.money != ours.money:
        yield differs("amount differs", first.money)
    if back and ours.state not in ("refunded", "handed back", "lost") and len(taken) <= len(back):
        yield differs("given back", back[0].money)
