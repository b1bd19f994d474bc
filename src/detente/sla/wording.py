"""What do we write to a vendor who owes us a credit?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import fill

from detente.kernel.clock import NS, Instant, lasting, moment
from detente.kernel.money import Money
from detente.sla.decisions import Row, Standing
from detente.sla.decisions.claims import Claim, Dealings
from detente.sla.engine.calendar import Every
from detente.sla.engine.moments import Moments
from detente.sla.settings import Promise

_WIDTH = 76  # as mails are
_MEASURED = "(period - left out - down) / (period - left out)"


def period_in_words(start: Instant, every: Every, zone: str) -> str:
    """'November 2026', '4th quarter of 2026', '2026'."""
    first = moment(start, zone)
    if every == "month":
        return f"{first:%B %Y}"
    if every == "quarter":
        return f"{('1st', '2nd', '3rd', '4th')[first.month // 3]} quarter of {first.year}"
    return f"{first.year}"


def letter(
    *,
    name: str,
    vendor: str,
    us: str,
    promise: Promise,
    standing: Standing,
    claim: Claim,
    down: Moments,
    done: Dealings,
    checks: Iterable[str],
) -> str:
    """The claim as plain text, to be read over and sent with the evidence."""
    when = period_in_words(standing.period.start, promise.period, promise.timezone)
    amount = claim.open or claim.owed
    parts = [
        _head(promise, when, amount),
        _opening(vendor, promise, standing, when),
        "\n".join(_reckoning(promise, standing, claim)),
        "\n".join(_outages(promise, standing, down)),
        "\n".join(_left_out(promise, standing, done)),
        _measured(standing, checks),
        _asks(promise, claim, amount),
        _evidence(name, standing.period.name),
        us,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(promise: Promise, when: str, amount: Money | None) -> str:
    to = f"To: {promise.claim.to}\n" if promise.claim and promise.claim.to else ""
    return f"{to}Subject: Service credit for {when}: {amount}"


def _opening(vendor: str, promise: Promise, standing: Standing, when: str) -> str:
    said = (
        f"our contract promises that your service is up for {standing.target} of every"
        f" {promise.period}. In {when} it was not: by our measurement it attained"
        f" {standing.under_contract_says}{'' if standing.final else ' at best'}."
    )
    return f"To {vendor}:\n\n{fill(said, _WIDTH)}"


def _reckoning(promise: Promise, standing: Standing, claim: Claim) -> Iterator[str]:
    yield f"  Down                {lasting(standing.down)}"
    yield f"  Allowed             {_long(standing.allowed)}"
    yield f"  Left out            {_long(standing.excluded)}"
    yield f"  Attained            {standing.under_contract_says}, as {_MEASURED}"
    row = next((each for each in standing.rows if each.reached), None)
    if row is not None:
        yield f"  Credit              {_credit(row, promise)} = {standing.owed}"
    for made in claim.made:
        yield f"  Claimed before      {made.amount} ({made.reference})"


def _credit(row: Row, promise: Promise) -> str:
    return f"below {row.below}: {row.owed} of {promise.fee}"


def _outages(promise: Promise, standing: Standing, down: Moments) -> Iterator[str]:
    yield f"When it was down (times in {promise.timezone}, with their offset from UTC):"
    yield ""
    for start, end in down:
        lasted = lasting((end - start) / NS)
        yield f"  {_at(start, promise)}  to  {_at(end, promise)}  {lasted}"
    if standing.too_short:
        yield ""
        yield (
            f"Not counted: {lasting(standing.too_short)} of outages shorter than"
            f" {promise.minimum_outage}."
        )


def _left_out(promise: Promise, standing: Standing, done: Dealings) -> Iterator[str]:
    """What people left out in this period; the contract's own windows need no reason."""
    period = standing.period
    mine = [
        each
        for each in done.exclusions
        if each.holds and each.start < period.end and each.end > period.start
    ]
    if mine:
        yield "Left out of the downtime and of the period:"
        yield ""
    for each in mine:
        yield f"  {_at(each.start, promise)}  to  {_at(each.end, promise)}  {each.reason}"


def _measured(standing: Standing, checks: Iterable[str]) -> str:
    said = (
        f"Measured by {', '.join(checks) or 'nothing'}. Time in which nobody looked"
        f" ({_long(standing.unmeasured)}) counts as up."
    )
    return fill(said, _WIDTH)


def _long(seconds: float) -> str:
    return lasting(seconds) if seconds else "none"


def _at(at: Instant, promise: Promise) -> str:
    return moment(at, promise.timezone).isoformat(" ", timespec="seconds")


def _asks(promise: Promise, claim: Claim, amount: Money | None) -> str:
    said = f"Please credit {amount}, and give us a reference for this claim."
    if claim.due is None or claim.due.overdue:
        return said
    return f"{said}\nThe contract gives us time for it until {_at(claim.due.by, promise)}."


def _evidence(name: str, period: str) -> str:
    file = f"{name}-{period}.zip"
    return (
        f"The evidence is in {file}. It needs Python and nothing else, and no network:\n\n"
        f"  unzip {file} verify.py\n"
        f"  python3 verify.py {file}\n\n"
        "If we sent you a signed checkpoint before, add --checkpoint FILE: then it also shows that\n"
        "nothing was changed since."
    )
