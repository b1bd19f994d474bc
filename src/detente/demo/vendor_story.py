"""Story one, the vendor, played on real processes in five acts.

A small insurance portal sells policies and takes cards through CardPay, by way of Détente. CardPay
slows down, loses answers, hangs, dies and comes back. The director only changes CardPay's mood and
tells what the ledger says; whatever the node does about it, it does by itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

from detente.demo.actors import HOST
from detente.demo.books import Verdict, compare
from detente.demo.stage import Actor, free_port, program
from detente.demo.story import Story
from detente.demo.telling import Teller
from detente.facts.watch import SheetFiled
from detente.kernel.clock import lasting
from detente.kernel.money import Money

RATE = 5.0  # customers a second
CROWD = 21  # a crowd in which somebody comes with a declined card while CardPay is away
_PLUGINS = ("/usr/lib/nagios/plugins", "/usr/lib64/nagios/plugins", "/usr/lib/monitoring-plugins")
DRAIN = 60.0  # seconds the queue may take to empty once the vendor is back

_DECLARED = """\
# The demo's own configuration: what a small insurance shop would write.
name: Sunny Side Insurance
ledger: {home}/detente.db

web:
  listen: {host}:{web}

teams:
  dev: {{title: Development, mail: [dev@sunnyside.example], webhook: "http://{host}:{chat}/hook"}}
  ops: {{title: Operations, mail: [ops@sunnyside.example]}}

vendors:
  cardpay:
    title: CardPay
    environments:
      production: {{}}
      test: {{twin_of: production}}

services:
  portal: {{title: Sales portal, needs: [cardpay]}}

watch:
  sheet: 2s
  verdict_holds: 2s
  places:
    outside: {{title: Another data centre, token: {{file: {home}/outside.token}}}}
  checks:
    cardpay:
      http: http://{host}:{vendor}/health
      every: 1s
      timeout: 800ms
      from: [here, outside]
    cardpay-test:
      of: cardpay
      environment: test
      http: http://{host}:{twin}/health
      every: 1s
      timeout: 800ms
      from: [here, outside]
    portal-plugin: {{of: portal, plugin: {plugin}, every: 2s, timeout: 1500ms}}
    portal: {{http: "http://{host}:{portal}/", every: 1s, timeout: 800ms}}

work:
  gateway: {host}:{gateway}
  routes:
    payments:
      vendor: cardpay
      to: http://{host}:{vendor}
      timeout: 1500ms
      money: {{amount: /amount, currency: /currency}}
      breaker: {{open_for: 2s, open_for_at_most: 4s}}
      replay: {{starts_at: 4, at_most: 40, first_wait: 1s, longest_wait: 3s}}

incidents:
  closes_after: 5s

mail: {{server: "{host}:{smtp}", tls: none, from: "Détente <detente@sunnyside.example>"}}

pager:
  people:
    anna: {{title: Anna, mail: [anna@sunnyside.example], team: ops}}
    dora: {{title: Dora, mail: [dora@sunnyside.example], team: dev}}
  rota:
    on-call: {{people: [anna, dora], changes: weekly on monday 09:00, timezone: Europe/Berlin}}
  escalation:
    - {{after: 0s, tell: on-call}}
    - {{after: 5m, tell: everybody}}

journeys:
  buy: {{title: Buy a policy, earns: 1200 EUR, needs: [portal]}}

sla:
  checkpoint_every: 10s
  promises:
    cardpay-uptime:
      vendor: cardpay
      checks: [cardpay]
      target: 99.95%
      fee: 4000 EUR
      credits:
        - {{below: 99.95%, owed: 10%}}
        - {{below: 99%, owed: 25%}}
        - {{below: 95%, owed: 100%}}
      claim: {{within: 30d, to: sla@cardpay.example}}
"""


class VendorStory(Story):
    """The stage with everybody on it."""

    name = "vendor"
    title = "The vendor"

    def __init__(
        self, home: Path, teller: Teller, *, web: int = 0, rate: float = RATE, tempo: float = 1.0
    ) -> None:
        super().__init__(home, teller, web=web, tempo=tempo)
        self.rate = rate
        self.ports = {
            name: free_port()
            for name in ("gateway", "vendor", "twin", "portal", "mood", "twin_mood")
        }
        self.settled: list[str] = []  # policies paid in another way

    # -- coming and going ------------------------------------------------------------------------

    async def set_stage(self) -> None:
        """Everybody enters: vendor, twin, mailbox, node, portal."""
        ports = self.ports
        for name, called, mood in (("vendor", "live", "mood"), ("twin", "test", "twin_mood")):
            await self.enter(
                name, "vendor", "--name", called, "--book", self.home / f"{name}.book",
                "--port", ports[name], "--control-port", ports[mood],
            )  # fmt: skip
        mailbox = await self.enter("mailbox", "mailbox", "--folder", self.home / "mail")
        ports["smtp"], ports["chat"] = mailbox.ports
        (self.home / "outside.token").write_text(secrets.token_urlsafe(24))
        await self.start_node(_DECLARED, plugin=json.dumps(self.plugin()))
        pay = f"http://{HOST}:{ports['gateway']}/payments/charges"
        await self.enter(
            "portal", "portal", "--pay", pay, "--book", self.home / "portal.book",
            "--port", ports["portal"], "--patience", 5, "--keeps-trying", 25,
        )  # fmt: skip
        await self.look_from_outside()

    def plugin(self) -> list[str]:
        """An existing Nagios plugin where one is installed, else one of our own making."""
        page = ["-H", HOST, "-p", str(self.ports["portal"])]
        for folder in _PLUGINS:
            if (found := Path(folder) / "check_http").is_file():
                return [str(found), *page, "-u", "/"]
        return program("detente.demo.actors.check_page", *page)

    async def look_from_outside(self) -> None:
        """Another place looks too, and tells the node."""
        command = program(
            "detente", "agent", "--node", self.address, "--place", "outside",
            "--token-file", self.home / "outside.token", "--spool", self.home / "spool",
        )  # fmt: skip
        self.actors["agent"] = Actor(
            "agent", command, self.home / "agent.log", ready=lambda line: [0]
        )
        await self.actors["agent"].enter()

    async def open_shop(self) -> None:
        shop = f"http://{HOST}:{self.ports['portal']}"
        await self.enter(
            "customers", "customers", "--shop", shop, "--rate", self.rate, "--patience", 40,
            "--seed", CROWD,
        )  # fmt: skip

    async def close_shop(self) -> None:
        """No new customers; those inside are served."""
        await self.actors["customers"].leave()

    # -- what the director does ------------------------------------------------------------------

    async def mood(self, **mood: object) -> None:
        await self.line.post(f"http://{HOST}:{self.ports['mood']}/mood", mood)

    async def twin_mood(self, **mood: object) -> None:
        await self.line.post(f"http://{HOST}:{self.ports['twin_mood']}/mood", mood)

    async def take_incident(self, who: str) -> None:
        """Somebody opens the link in the mail and presses the button there."""
        link = await self._link_in_mail()
        if link is None:
            return
        page = await self.line.text(link)
        button = re.search(r'<form[^>]*action="(/levers/pager[^"]*)".*?</form>', page, re.DOTALL)
        if button is not None:
            hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', button.group(0)))
            await self.line.submit(
                f"{self.address}{button.group(1)}", {**hidden, "who": who}, self.address
            )

    async def _link_in_mail(self) -> str | None:
        for mail in await self.line.get(f"http://{HOST}:{self.ports['chat']}/mails"):
            found = re.search(r"http://\S+/pager/take/\S+", mail["text"])
            if found:
                return found.group(0)
        return None

    # -- what the audience hears -----------------------------------------------------------------

    async def until_drained(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while await self.waiting():
                    await asyncio.sleep(0.5)
                return True
        return False

    async def waiting(self) -> int:
        """Calls that still wait for the vendor."""
        states = await self.detente_books()
        return sum(states.get(state, 0) for state in ("taken", "parked"))

    async def settle_by_hand(self, who: str) -> int:
        """Somebody works the queue: what CardPay refused in the end is paid in another way."""
        queue = await self.ask("/work")
        held = [call for call in queue["waiting"] if call["state"] == "held"]
        for call in held:
            policy = call["key"].removeprefix("portal-")
            note = "paid by bank transfer"
            await self.pull("work.settle", call["about"], who, note=note, reference=policy)
            self.settled.append(policy)
        return len(held)

    async def detente_books(self) -> dict[str, int]:
        """Calls by state, as the node's own page says."""
        answer = await self.ask("/work")
        return {each["state"]: each["calls"] for each in answer["books"]}

    async def acts(self) -> None:
        await _acts(self)

    async def last_act(self) -> None:
        await _last_act(self)

    async def tell_customers(self) -> None:
        port = self.actors["customers"].ports[0]
        stats = await self.line.get(f"http://{HOST}:{port}/stats")
        wait = stats["wait_ms"]["p95"]
        waited = f"; 95 of 100 waited less than {lasting(max(wait, 1) / 1000)}" if wait else ""
        insured = stats["paid"] + stats["accepted"]
        trouble = stats["error"] + stats["no_answer"]
        later = f", {stats['accepted']} of them with payment to follow" if stats["accepted"] else ""
        self.teller.customers(f"{insured} insured{later}; {trouble} saw an error{waited}")

    async def verdict(self) -> Verdict:
        """Lay the three books side by side."""
        sales = await self.line.get(f"http://{HOST}:{self.ports['portal']}/book")
        charges = await self.line.get(f"http://{HOST}:{self.ports['mood']}/book")
        promised = [
            each["order"]
            for each in sales
            if each["ended"] and each["ended"]["outcome"] in ("paid", "accepted")
        ]
        parked = {each.about for each in self.heard("work.call_parked")}
        paid = {each.about for each in self.heard("work.call_charged")}
        books = await self.detente_books()
        again = len(parked & paid)
        return compare(promised, charges, books, settled=self.settled, parked_and_charged=again)


async def _acts(story: VendorStory) -> None:
    teller = story.teller
    teller.title(
        "The vendor",
        "Sunny Side Insurance sells policies online and takes cards through CardPay. “We needn't"
        " monitor them, we have an SLA.” This time somebody measures, and somebody parks.",
    )
    teller.plain()
    teller.plain(f"  Watch along:  {story.address}/")
    teller.plain(f"  The shop:     http://{HOST}:{story.ports['portal']}/")

    teller.act(1, "A good day. Every card goes through Détente to CardPay and is charged at once.")
    await story.open_shop()
    await story.goes_on(8)
    await story.tell_customers()

    teller.act(
        2, "CardPay's test server drops off the network. Production, next door, turns slow, and now"
        " and then books a charge and loses the answer.",
    )  # fmt: skip
    await story.twin_mood(refuse=True)
    teller.happens("CardPay's test twin stops answering; production takes 0.7 s and loses answers")
    await story.mood(latency=0.7, book_and_lose=0.15)
    await story.goes_on(9)
    await story.tell_customers()

    teller.act(3, "CardPay hangs: it takes every request and answers none. Then it dies.")
    teller.happens("CardPay hangs")
    await story.mood(hang=True)
    await story.until("incidents.opened", 15)
    await story.until("pager.told", 10, count=2)
    await story.take_incident("Anna from operations")
    await story.goes_on(5)
    await story.tell_customers()
    teller.happens("CardPay's machine dies (kill -9), its twin's too")
    await story.actors["vendor"].die()
    await story.actors["twin"].die()
    await story.goes_on(9)
    await story.until("watch.verdict_reached", 20, about="vendor:cardpay")
    await story.tell_customers()

    teller.act(
        4, "CardPay comes back. Détente tries one call, then two, then lets everybody through, and"
        " replays what was parked: gently, under the keys CardPay already knows.",
    )  # fmt: skip
    teller.happens("CardPay's machines are started again")
    await story.actors["vendor"].enter()
    await story.actors["twin"].enter()
    await story.until("work.breaker_closed", 30)
    await story.goes_on(4)
    await story.tell_customers()


async def _last_act(story: VendorStory) -> None:
    teller = story.teller
    await story.close_shop()
    drained = await story.until_drained()
    if held := await story.settle_by_hand("Ben from sales"):
        teller.happens(f"Ben from sales rings up {held} whose card was refused in the end")
        await story.until("work.call_settled", 5, count=held)
    closed = await story.until("incidents.closed", 30)
    teller.act(
        5, "Everybody in one room, with one set of facts. The shop's book, CardPay's own book and"
        " Détente's ledger are laid side by side.",
    )  # fmt: skip
    if not drained:
        teller.line("bad", f"The queue did not empty within {DRAIN:.0f} s.")
    verdict = await story.verdict()
    _tell_money(teller, verdict)
    await _tell_promise(story)
    teller.plain()
    for disagreement in verdict.disagreements:
        teller.line("bad", disagreement)
    _promises(story, verdict, drained=drained, closed=closed)
    _promises_of_watching(story)
    await _promise_of_evidence(story)
    groups = (await story.ask("/work/failures"))["failures"]
    story.promise(
        "9",
        "developers see what broke",
        f"{len(groups)} kinds of failure, grouped",
        kept=bool(groups),
    )


def _promises_of_watching(story: VendorStory) -> None:
    """Looked at by a plugin, from two places, and said whose fault it is."""
    sheets = [each.fact for each in story.heard("watch.sheet_filed")]
    plugin = sum(
        each.tallies["portal-plugin"].ok
        for each in sheets
        if isinstance(each, SheetFiled) and "portal-plugin" in each.tallies
    )
    called = "check_http, unmodified" if "check_http" in story.plugin()[0] else "our own plugin"
    story.promise("1", "Nagios plugins run", f"{called}: {plugin} good runs", kept=plugin > 0)
    outside = sum(each.about == "place:outside" for each in sheets)
    story.promise(
        "2", "another place looks too", f"{outside} sheets from outside", kept=outside > 2
    )
    said = [each.fact.says() for each in story.heard("watch.verdict_reached", "vendor:cardpay")]
    theirs = [each for each in said if "their" in each]
    story.promise(
        "3", "whose fault it is", theirs[-1] if theirs else "; ".join(said) or "no verdict",
        kept=bool(theirs),
    )  # fmt: skip


async def _promise_of_evidence(story: VendorStory) -> None:
    """The vendor checks the evidence with the program in it, and nothing of ours."""
    bundle = story.home / "evidence.zip"
    bundle.write_bytes(await story.line.raw(f"{story.address}/sla/cardpay-uptime/evidence.zip"))
    with zipfile.ZipFile(bundle) as opened:
        (story.home / "verify.py").write_bytes(opened.read("verify.py"))
    key = (await story.line.text(f"{story.address}/sla/key.txt")).strip()
    check = [sys.executable, "-I", "-S", str(story.home / "verify.py"), str(bundle), "--key", key]
    done = await asyncio.create_subprocess_exec(*check, stdout=asyncio.subprocess.PIPE)
    said, _ = await done.communicate()
    lines = said.decode().strip().splitlines()
    says = next((line for line in lines if line.startswith("FLAW")), lines[-1])
    story.promise("8", "the vendor can check it offline", says, kept=done.returncode == 0)


def _promises(story: VendorStory, verdict: Verdict, *, drained: bool, closed: bool) -> None:
    """What story one promised, and what came of it."""
    lost, twice = len(verdict.lost), len(verdict.twice)
    story.promise("5", "no sale is lost", f"{lost} of {verdict.sales} lost", kept=not lost)
    story.promise("5", "no card is charged twice", f"{twice} charged twice", kept=not twice)
    teams = {each.fact.team for each in story.heard("pager.told")}  # type: ignore[attr-defined]
    paged = f"{', '.join(sorted(teams))} told of {len(story.heard('incidents.opened'))} incident"
    story.promise(
        "4", "both sides hear of one incident", paged, kept={"dev", "ops"} <= teams and closed
    )
    held = f"{len(story.settled)} settled by hand, the queue " + (
        "empty" if drained else "not empty"
    )
    story.promise("6", "people can work the queue until it is empty", held, kept=drained)
    same = "three books, one sum" if verdict.agree else f"{len(verdict.disagreements)} differences"
    story.promise("10", "shop, vendor and ledger say the same", same, kept=verdict.agree)


def _tell_money(teller: Teller, verdict: Verdict) -> None:
    def sums(amounts: tuple[Money, ...]) -> str:
        return " + ".join(str(each) for each in amounts) or "nothing"

    teller.plain()
    teller.row("Sales taken, by the shop's book", f"{verdict.sales:>6}   {sums(verdict.taken)}")
    teller.row(
        "Charged, by CardPay's own book", f"{verdict.charged:>6}   {sums(verdict.charged_money)}"
    )
    teller.row("Charged, by Détente's ledger", f"{verdict.detente.get('charged', 0):>6}")
    teller.row("  of them parked first", f"{verdict.parked_and_charged:>6}")
    if verdict.settled:
        teller.row("Card refused, settled by hand", f"{verdict.settled:>6}")
    teller.row("Charged twice", f"{len(verdict.twice):>6}", "bad" if verdict.twice else "good")
    teller.row("Lost", f"{len(verdict.lost):>6}", "bad" if verdict.lost else "good")


async def _tell_promise(story: VendorStory) -> None:
    """What the sla page says, in one line; it is measured, so it differs from run to run."""
    answer = await story.ask("/sla")
    for promise in answer["promises"]:
        story.teller.row(f"Promise {promise['name']}", promise["budget"])
        down = promise["standing"]["attained_says"]
        story.promise(
            "7", "the contract is counted by its own words", f"attained {down}", kept="%" in down
        )
