"""Credits that are owed are claimed in time, and what is left out is on record."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from tests.sla.test_promise import DECLARED, Diary, HandClock, says, shown, told, wrong

from detente.facts.sla import (
    Claimed,
    ClaimSettled,
    Excluded,
    IncludedAgain,
    PromiseBroken,
    PromiseRestored,
)
from detente.kernel.clock import NS, instant
from detente.kernel.fact import Fact
from detente.kernel.forms import BadForm
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.slice import Answered, Ask, Asked, NotFound, Refused, Sign
from detente.kernel.terminal.show import show
from detente.kernel.terminal.words import Seeing
from detente.kernel.web.pulling import Pulling
from detente.sla import cli as sla_cli
from detente.sla import pages
from detente.sla.effects import EFFECTS, look, look_at_the_past
from detente.sla.levers import LEVERS

BERLIN = f"{DECLARED}      timezone: Europe/Berlin\n"
CLAIMED = f"{BERLIN}      claim: {{within: 30d, to: sla@cardpay.example}}\n"
HEARD = f"{BERLIN}      claim: {{within: 30d, from: incident, ticket_within: 24h}}\n"


async def pull(diary: Diary, lever: str, **form: Any) -> None:
    """Somebody pulls a lever of the promise."""
    pulling = Pulling(diary.node, LEVERS)
    await pulling.pull(lever, {"about": "promise:uptime", **form}, by="ann")


async def claim_text(diary: Diary, **query: str) -> str:
    endpoint = next(each for each in pages.ENDPOINTS if each.path.endswith("/claim.txt"))
    asked = Asked(method="GET", path={"promise": "uptime"}, query=query)
    answered: Answered = await endpoint.answer(diary.node, asked)
    return answered.body.decode()


async def an_hour_down(diary: Diary) -> None:
    """At noon in UTC on the tenth, which is one o'clock in Berlin."""
    await diary.failed(60)
    await diary.answers()
    await look(diary.node)


def written(diary: Diary, *kinds: type[Fact]) -> Sequence[Fact]:
    asked = Query(names=tuple(each.name for each in kinds))
    return [recorded.fact for recorded in diary.node.ledger.read(asked)]


def due(diary: Diary) -> list[Sign]:
    return [sign for sign in pages.signs(diary.node) if "owes us" in sign.sentence]


def on(day: str) -> int:
    return instant(datetime.fromisoformat(day).replace(tzinfo=UTC))


# -- deadlines -------------------------------------------------------------------------------------


def test_what_is_owed_must_be_claimed_by_a_day_that_is_said() -> None:
    """From the moment it is certain, Now says how much and until when, and the closer the louder."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        assert due(diary) == []
        await an_hour_down(diary)
        (sign,) = due(diary)
        assert sign.tone == "warn"
        assert sign.sentence == (
            "CardPay owes us 400.00 EUR for November 2026 so far: claim it by"
            " the end of 30 Dec 2026 (Europe/Berlin): 50 days 9 h left"
        )
        diary.clock.at = on("2026-12-28T12:00")
        (sign,) = due(diary)
        assert sign.tone == "bad"
        assert sign.href == "/sla/uptime?period=2026-11"
        assert "for November 2026: claim it by" in sign.sentence
        diary.clock.at = on("2027-03-01T00:00")
        (sign,) = due(diary)
        assert sign.sentence.endswith(
            "the claim was due by the end of 30 Dec 2026 (60 days 1 h ago); claim it all the same, or"
            " let it go"
        )

    told(story, CLAIMED)


def test_without_terms_for_claims_nothing_is_due() -> None:
    """Who has not written down a deadline is told what is owed and nothing of days."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        assert due(diary) == []
        assert "400.00 EUR so far" in pages.signs(diary.node)[0].sentence
        assert "400.00 EUR to claim, so far" in shown(diary.node).replace("\N{NO-BREAK SPACE}", " ")

    told(story, BERLIN)


def test_a_claim_quiets_the_sign_until_more_is_owed() -> None:
    """Claimed is claimed; when the running month gets worse, the rest is due."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        await pull(diary, "sla.claim", reference="CP-1")
        (fact,) = written(diary, Claimed)
        assert isinstance(fact, Claimed)
        assert (fact.period, fact.amount) == ("2026-11", Money(40_000, "EUR"))
        assert due(diary) == []
        assert "claimed (CP-1), no answer yet" in shown(diary.node)
        with pytest.raises(Refused, match="nothing is owed that was not claimed"):
            await pull(diary, "sla.claim", reference="CP-1")
        await diary.failed(7 * 60)
        await diary.answers()
        (sign,) = due(diary)
        assert "owes us 600.00 EUR for November 2026 so far" in sign.sentence

    told(story, CLAIMED)


def test_a_claim_is_settled_once() -> None:
    """What was paid stands on the page, and a second answer is refused."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        with pytest.raises(Refused, match="Claim first"):
            await pull(diary, "sla.settle_claim", outcome="paid", paid="400 EUR")
        await pull(diary, "sla.claim", reference="CP-1", amount="300 EUR")
        for outcome, paid, sentence in (
            ("paid", "", "say how much"), ("paid", "400 USD", "same currency"),
            ("refused", "1 EUR", "leave the amount empty"),
        ):  # fmt: skip
            with pytest.raises(Refused, match=sentence):
                await pull(diary, "sla.settle_claim", outcome=outcome, paid=paid)
        await pull(diary, "sla.settle_claim", outcome="paid", paid="250 EUR", note="credit note")
        (fact,) = written(diary, ClaimSettled)
        assert fact.says() == (
            "had its claim for 2026-11 settled: it was paid 250.00 EUR (credit note)"
        )
        with pytest.raises(Refused):
            await pull(diary, "sla.settle_claim", outcome="refused")
        text = shown(diary.node)
        assert "credit note" in text
        assert "100.00" in due(diary)[0].sentence  # the part that was not claimed

    told(story, CLAIMED)


def test_letting_go_ends_it() -> None:
    """A claim that came too late can be let go without being made, and the sign goes."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        diary.clock.at = on("2027-03-01T00:00")
        await pull(diary, "sla.settle_claim", outcome="let go", note="too late")
        assert due(diary) == []
        (claim,) = [
            pages.one_promise(
                diary.node, Ask(path={"promise": "uptime"}, query={"period": "2026-11"})
            ).card.claim
        ]
        assert claim is not None
        assert (claim.says, claim.open) == ("let go", None)

    told(story, CLAIMED)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"reference": " "}, "Please say under which reference"),
        ({"reference": "CP-1", "amount": "401 EUR"}, "claim at most that"),
        ({"reference": "CP-1", "amount": "0 EUR"}, "claim at most that"),
        ({"reference": "CP-1", "amount": "4 USD"}, "claim at most that"),
        (
            {"reference": "CP-1", "period": "2026-10"},
            "nothing is open for 2026-10; open is 2026-11",
        ),
    ],
)
def test_a_claim_that_the_evidence_does_not_carry_is_refused(
    form: dict[str, str], sentence: str
) -> None:
    """More than is owed, in another currency or for another month: refused, and nothing is written."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        with pytest.raises(Refused, match=sentence):
            await pull(diary, "sla.claim", **form)
        assert written(diary, Claimed) == []

    told(story, CLAIMED)


def test_two_people_claim_once() -> None:
    """Of two who claim at the same time one is told that the other was quicker."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        claims = (pull(diary, "sla.claim", reference=each) for each in ("CP-1", "CP-2"))
        found = await asyncio.gather(*claims, return_exceptions=True)
        assert [type(each) for each in found if each] == [Refused]
        assert len(written(diary, Claimed)) == 1

    told(story, CLAIMED)


def test_the_vendor_hears_of_each_outage_in_time() -> None:
    """An outage of which nobody told the vendor is a sign with a deadline, until somebody did."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await an_hour_down(diary)
        first = pages.signs(diary.node)
        assert any(
            "must hear from us of the outage of 10 Nov 2026, 13:10, by 11 Nov 2026, 13:10"
            in sign.sentence and sign.tone == "warn"
            for sign in first
        )  # fmt: skip
        diary.clock.at += 24 * 3600 * NS
        assert any("tell them all the same" in sign.sentence for sign in pages.signs(diary.node))
        await pull(diary, "sla.tell_vendor", reference="CP-9")
        assert not any("hear from us" in sign.sentence for sign in pages.signs(diary.node))
        (sign,) = due(diary)
        assert "by 10 Dec 2026, 13:10 (Europe/Berlin)" in sign.sentence
        with pytest.raises(Refused, match="not offered"):
            await pull(diary, "sla.tell_vendor", reference="CP-9")

    told(story, HEARD)


def test_the_claim_can_be_sent_as_it_is() -> None:
    """The letter has the outages on the contract's clock, the reckoning, and how to check it."""

    async def story(diary: Diary) -> None:
        with pytest.raises(Refused, match="CardPay owes nothing for 2026-11"):
            await claim_text(diary)
        await diary.watched(10)
        await an_hour_down(diary)
        at = diary.clock.at
        await pull(diary, "sla.exclude", starts="2026-11-10 13:00", ends="2026-11-10T12:15Z",
                   reason="maintenance")  # fmt: skip
        diary.clock.at = at + 30 * 86_400 * NS
        text = await claim_text(diary, period="2026-11")
        for words in (
            "To: sla@cardpay.example",
            "Subject: Service credit for November 2026: 400.00 EUR",
            "  2026-11-10 13:15:00+01:00  to  2026-11-10 14:10:00+01:00  55 min",
            "  2026-11-10 13:00:00+01:00  to  2026-11-10 13:15:00+01:00  maintenance",
            "below 99.9%: 10% of 4 000.00 EUR = 400.00 EUR",
            "python3 verify.py uptime-2026-11.zip",
            "The contract gives us time for it until 2026-12-31 00:00:00+01:00.",
        ):
            assert words in text.replace("\N{NARROW NO-BREAK SPACE}", " "), text
        with pytest.raises(NotFound):
            await claim_text(diary, period="2031-01")

    told(story, CLAIMED)


# -- leaving out -----------------------------------------------------------------------------------


def test_a_promise_is_restored_and_broken_again_on_record() -> None:
    """Nothing is taken back: each change of the verdict is a fact of its own, written once."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        await pull(
            diary,
            "sla.exclude",
            starts="2026-11-10 13:00",
            ends="2026-11-10 13:30",
            reason="announced",
        )
        for _ in range(2):
            await look_at_the_past(diary.node)
        (broken, excluded, restored) = written(diary, PromiseBroken, Excluded, PromiseRestored)
        assert isinstance(restored, PromiseRestored)
        assert (restored.period, restored.down, restored.excluded) == ("2026-11", 1800, 1800)
        assert not any("broke" in sign.sentence for sign in pages.signs(diary.node))
        assert due(diary) == []
        assert excluded.says() == "leaves out 10 Nov 2026 13:00 to 13:30 (30 min): announced"
        await pull(diary, "sla.include_again", reason="it was the week before")
        for _ in range(2):
            await look_at_the_past(diary.node)
            await look(diary.node)
        assert written(diary, PromiseBroken) == [broken, broken]
        assert any("broke" in sign.sentence for sign in pages.signs(diary.node))
        (back,) = written(diary, IncludedAgain)
        assert back.says().startswith("counts 10 Nov 2026 13:00 to 13:30 (30 min) again")

    told(story, CLAIMED)


def test_leaving_out_is_retroactive() -> None:
    """An exclusion in March restores November, by the effect alone."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        diary.clock.at = on("2027-03-01T00:00")
        running = asyncio.ensure_future(EFFECTS[0].run(diary.node))
        await asyncio.sleep(0)
        await pull(diary, "sla.exclude", starts="2026-11-10T12:00Z", ends="2026-11-10T13:00Z",
                   reason="announced")  # fmt: skip
        async for batch in diary.node.follow((PromiseRestored.name,), after=0):
            assert len(batch) == 1
            break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert due(diary) == []

    told(story, CLAIMED)


def test_a_node_that_was_off_sees_at_its_start_what_was_left_out() -> None:
    """The restored promise is written down once, though the node died between the two facts."""
    clock = HandClock()

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        await pull(diary, "sla.exclude", starts="2026-11-10T12:00Z", ends="2026-11-10T13:00Z",
                   reason="announced")  # fmt: skip
        assert written(diary, PromiseRestored) == []
        for _ in range(2):
            running = asyncio.ensure_future(EFFECTS[0].run(diary.node))
            async for _ in diary.node.follow((PromiseRestored.name,), after=0):
                break
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert len(written(diary, PromiseRestored)) == 1

    told(story, CLAIMED, clock=clock)


def test_the_page_shows_with_and_without() -> None:
    """People see what was left out, by whom and why, and what it would be without."""

    async def story(diary: Diary) -> None:
        await diary.watched(10)
        await an_hour_down(diary)
        await pull(diary, "sla.exclude", starts="2026-11-10 13:00", ends="2026-11-10 13:40",
                   reason="announced")  # fmt: skip
        text = shown(diary.node)
        assert "nothing left out: 99.861%" in text
        assert "With nothing left out they would have attained 99.861% at the end, and 400.00" in (
            text.replace("\N{NO-BREAK SPACE}", " ")
        )
        page = pages.one_promise(diary.node, Ask(path={"promise": "uptime"}))
        (left_out,) = page.left_out
        assert (left_out.down, left_out.by, left_out.back) == (1800, "ann", "")
        assert page.card.without is not None
        assert page.card.without.broken
        assert not page.card.standing.broken
        file = io.StringIO()
        console = Console(file=file, color_system=None, width=80)
        show(page, on=console, see=Seeing(diary.clock.now()))
        assert "Left out" in file.getvalue()
        assert "announced" in file.getvalue()
        assert sla_cli.promise

    told(story, CLAIMED)


def test_windows_of_the_contract_are_left_out() -> None:
    """Maintenance in the contract's window counts neither as downtime nor as part of the month."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        standing = diary.standing()
        assert (standing.excluded, standing.down) == (20 * 60, 40 * 60)
        assert "the contract" in shown(diary.node)

    window = "excludes: {maintenance: [{weekly: Tue 13:00 to Tue 13:30}], at_most: 20m}"
    told(story, f"{BERLIN}      {window}\n")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (
            {"starts": "noon", "ends": "2026-11-10 13:00", "reason": "x"},
            "starts: “noon” is not a time",
        ),
        (
            {"starts": "2026-11-10 13:00", "ends": "2026-11-10 13:00", "reason": "x"},
            "ends: that is not after",
        ),
        ({"starts": "2020-01-01", "ends": "2026-01-01", "reason": "x"}, "more than a year"),
        ({"starts": "2300-01-01", "ends": "2300-01-02", "reason": "x"}, "more than ten years"),
        (
            {"starts": "2026-11-10 13:00", "ends": "2026-11-10 14:00", "reason": " "},
            "Please say why",
        ),
    ],
)
def test_times_that_cannot_be_left_out_are_refused(form: dict[str, str], sentence: str) -> None:
    """Each refusal names the field and the remedy, and nothing is written."""

    async def story(diary: Diary) -> None:
        with pytest.raises((Refused, BadForm), match=sentence):
            await pull(diary, "sla.exclude", **form)
        assert written(diary, Excluded) == []

    told(story)


def test_which_one_counts_again_must_be_clear() -> None:
    """With several left out, the number is asked for; what counts already cannot count again."""

    async def story(diary: Diary) -> None:
        with pytest.raises(Refused, match="Nothing is left out"):
            await pull(diary, "sla.include_again", reason="x")
        for hour in (10, 11):
            await pull(
                diary,
                "sla.exclude",
                starts=f"2026-11-10 {hour}:00",
                ends="2026-11-10 12:00",
                reason="x",
            )
        numbers = [each.position for each in diary.node.ledger.read(Query(names=(Excluded.name,)))]
        with pytest.raises(Refused, match=f"say which one; there are {numbers[0]}, {numbers[1]}"):
            await pull(diary, "sla.include_again", reason="x")
        await pull(diary, "sla.include_again", reason="x", number=numbers[0])
        with pytest.raises(Refused, match=f"nothing that is left out has {numbers[0]}"):
            await pull(diary, "sla.include_again", reason="x", number=numbers[0])
        with pytest.raises(BadForm):
            await pull(diary, "sla.include_again", reason="x", number="first")

    told(story)


def test_the_evidence_tells_what_was_left_out_and_claimed() -> None:
    """What was done about November in March is in November's bundle, with the terms as declared."""

    async def story(diary: Diary) -> None:
        await an_hour_down(diary)
        diary.clock.at = on("2027-03-01T00:00")
        await pull(diary, "sla.claim", reference="CP-1", period="2026-11")
        await pull(diary, "sla.exclude", starts="2026-11-10 13:00", ends="2026-11-10 13:30",
                   reason="announced")  # fmt: skip
        await pull(diary, "sla.exclude", starts="2027-02-10", ends="2027-02-11", reason="later")
        endpoint = next(each for each in pages.ENDPOINTS if each.path.endswith("/evidence.zip"))
        asked = Asked(method="GET", path={"promise": "uptime"}, query={"period": "2026-11"})
        bundle = zipfile.ZipFile(io.BytesIO((await endpoint.answer(diary.node, asked)).body))
        facts = bundle.read("facts.jsonl").decode()
        assert "sla.claimed" in facts
        assert facts.count("sla.excluded") == 1
        about = json.loads(bundle.read("evidence.json"))
        assert "30 min left out, 99.861% under the contract without that" in about["says"]
        (stated,) = about["terms"]["excludes"]["maintenance"]
        assert stated["weekly"] == "Sun 02:00 to Sun 04:00"

    window = "      excludes: {maintenance: [{weekly: Sun 02:00 to Sun 04:00}]}\n"
    told(story, f"{CLAIMED}{window}")


# -- what people write -----------------------------------------------------------------------------

_OWES = "fee: 10 EUR, credits: [{below: 99%, owed: 50%}]"


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (
            f"{_OWES}, claim: {{to: x}}",
            "how long after the period end? add `within:`, for example 30d",
        ),
        (
            "claim: {within: 30d}",
            "there is nothing to claim without `credits:`; write down the contract's table",
        ),
        (
            "excludes: {maintenance: [{}]}",
            "say either weekly: Sun 02:00 to Sun 04:00, or dated: with a date on both sides",
        ),
        ("excludes: {at_most: 6h}", "at most of what? add `maintenance:` with its windows"),
    ],
)
def test_terms_that_say_nothing_are_mistakes(terms: str, sentence: str) -> None:
    """A claim without a deadline and a window at no time are refused with the remedy."""
    assert says(wrong(f"{{vendor: cardpay, target: 99%, {terms}}}")) == [sentence]


def test_the_terms_of_the_reference_are_right() -> None:
    """What the documentation shows is accepted."""
    terms = (
        f"{_OWES}, claim: {{within: 10 business days, from: end of next month, ticket_within: 24h,"
        " to: sla@vendor.example}, excludes: {maintenance: [{weekly: Sun 02:00 to Sun 04:00},"
        " {dated: 2026-11-15 22:00 to 2026-11-16 02:00}], at_most: 6h}"
    )
    assert wrong(f"{{vendor: cardpay, target: 99%, {terms}}}") == []
