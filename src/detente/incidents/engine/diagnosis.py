"""What does a story that somebody brought suffer from, and which lever is there to pull?

Each rule looks for one thing in the lines and speaks only if it is there; it names the lines it speaks
of, says how it might have gone, and gives the piece of `detente.yaml` to begin with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from detente.incidents.engine.acts import Play
from detente.incidents.engine.brought import Brought, Line
from detente.kernel.clock import Seconds, lasting, seconds_between


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is recognised, and what to do about it."""

    rule: str
    says: str
    lines: tuple[int, ...]  # of the file
    instead: str  # how it might have gone
    lever: str  # the slice of Détente that holds it
    write: str  # what to put into detente.yaml


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long what took, as far as the story tells."""

    to_notice: Seconds | None = None  # from the first failure
    to_turn: Seconds | None = None
    to_the_end: Seconds | None = None
    noticed_by: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said about a story."""

    times: Times
    findings: tuple[Finding, ...]


def diagnose(story: Brought, play: Play) -> Diagnosis:
    """Everything that any rule has to say, in the order of the rules."""
    case = _Case(story, play)
    found = [finding for rule in _RULES for finding in rule(case)]
    return Diagnosis(times=case.times, findings=tuple(found))


_LATE: Seconds = 300.0
_LONG: Seconds = 1_800.0
_A_WEEK: Seconds = 7 * 86_400.0
_TOGETHER: Seconds = 300.0

_VENDOR = re.compile(
    r"\b(?:vendors?|third[- ]part(?:y|ies)|suppliers?|provider|payment (?:gateway|service)|their (?:side"
    r"|servers?|status page|support))\b",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    r"\b(?:customers?|users?|calls?|complain\w*|analyst|tweet\w*|help ?desk|citizens?|boss)\b",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:alarm\w*|alert\w*|monitor\w*|checks?|probe|nagios|pager|detente)\b", re.IGNORECASE
)
_RELEASE = re.compile(
    r"\b(?:releas\w*|deploy\w*|ship\w*|rollout|goes live|went live)\b", re.IGNORECASE
)
_INFRASTRUCTURE = re.compile(
    r"\b(?:vms?|virtual|hosts?|servers?|network|switch|router|dns|databases?|disks?|storage|migrat\w*"
    r"|data ?cent(?:er|re)|firewall|cluster)\b",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"\b(?:nobody can|no ?one can|nothing works|everything (?:is|was) down|all (?:applications|systems|services)|sign[- ]?on|sso|cas"
    r"|ldap|single point)\b",
    re.IGNORECASE,
)
_BY_HAND = re.compile(
    r"\b(?:click\w*|by hand|manual\w*|test user\w*|testers?|test account\w*)\b", re.IGNORECASE
)
_NIGHT_SHIFT = re.compile(
    r"\b(?:everybody|everyone|all hands|back in the office|speaker[- ]?phone|conference call|war room"
    r"|shakes? hands)\b",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(r"\b(?:certificates?|tls|ssl)\b", re.IGNORECASE)
_SALES = re.compile(
    r"\b(?:sales?|orders?|payments?|cards?|carts?|checkout|turnover)\b", re.IGNORECASE
)
_NO_ANSWER = re.compile(
    r"(?:\b(?:nobody (?:\w+ )?knows|(?:do not|don['’]t|did not|didn['’]t) know|no answers?|no idea|unknown)\b)",
    re.IGNORECASE,
)
_TAKEN = re.compile(r"\b(?:has it|took it|takes it|on it|owns)\b", re.IGNORECASE)


class _Case:
    """The story, and what the rules often ask of it."""

    def __init__(self, story: Brought, play: Play) -> None:
        self.lines, self.play = story.lines, play
        self.fell = self.first("down")
        self.noticed = self.first("noticed", "told")
        self.times = self._times()

    def first(self, *meanings: str) -> Line | None:
        return next((each for each in self.lines if each.means(*meanings)), None)  # type: ignore[arg-type]

    def all(self, *meanings: str) -> list[Line]:
        return [each for each in self.lines if each.means(*meanings)]  # type: ignore[arg-type]

    def saying(self, words: re.Pattern[str]) -> list[Line]:
        return [each for each in self.lines if words.search(_whole(each))]

    def before_the_fall(self) -> list[Line]:
        """What was changed in the week before the first failure, the last of them first."""
        fell = self.fell
        if fell is None:
            return []
        return [
            each
            for each in reversed(self.all("change"))
            if each.number < fell.number and seconds_between(each.at, fell.at) <= _A_WEEK
        ]

    def _times(self) -> Times:
        if self.fell is None:
            return Times()
        fell, noticed = self.fell.at, self.noticed
        late = seconds_between(fell, noticed.at) if noticed and noticed.at >= fell else None
        ended = [each.at for each in self.play.curve if each.at > fell and not each.height]
        return Times(
            to_notice=late,
            to_turn=None if self.play.turn is None else seconds_between(fell, self.play.turn),
            to_the_end=seconds_between(fell, ended[-1 if len(ended) == 1 else 0])
            if ended and self.play.over
            else None,
            noticed_by=_who_noticed(noticed) if late is not None and noticed else "",
        )


def _whole(line: Line) -> str:
    return " ".join([line.says, *(each.of for each in line.tags)])


def _who_noticed(line: Line) -> str:
    named = next((each.of for each in line.tags if each.meaning in ("noticed", "told")), "")
    if named:
        return named
    if _MACHINE.search(line.says):
        return "a machine"
    return "people" if _PEOPLE.search(line.says) else "somebody"


def _numbers(lines: Sequence[Line | None]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(each.number for each in lines if each is not None))


Rule = Callable[[_Case], Iterator[Finding]]


def _noticed_late(case: _Case) -> Iterator[Finding]:
    if case.fell is None:
        return
    late = case.times.to_notice
    if late is not None and late <= _LATE:
        return
    says = (
        "Nothing in the story says how it was noticed."
        if late is None
        else f"It was down for {lasting(late)} before anybody noticed."
    )
    yield Finding(
        rule="noticed late",
        says=says,
        lines=_numbers([case.fell, case.noticed]),
        instead="A check every ten seconds sees it after three failures: half a minute.",
        lever="watch",
        write=_WATCH,
    )


def _noticed_by_people(case: _Case) -> Iterator[Finding]:
    noticed = case.noticed
    if noticed is None or case.fell is None:
        return
    if _PEOPLE.search(_whole(noticed)) and not _MACHINE.search(_whole(noticed)):
        yield Finding(
            rule="noticed by people",
            says=f"Those whom it is for noticed first: “{noticed.says}”.",
            lines=_numbers([noticed]),
            instead="What customers do is done by a test every minute, in production too, and the"
            " test that passed at the release is the one that tells.",
            lever="acceptance",
            write=_ACCEPTANCE,
        )


def _nobody_had_it(case: _Case) -> Iterator[Finding]:
    if case.fell is None or case.all("told") or case.saying(_TAKEN):
        return
    yield Finding(
        rule="nobody had it",
        says="Nobody is told, and nobody says that they have it.",
        lines=_numbers([case.fell]),
        instead="Both sides get one message in one thread, until somebody says “I have it”.",
        lever="pager",
        write=_PAGER,
    )


def _changed_before(case: _Case) -> Iterator[Finding]:
    """A release before the fall wants a toggle; infrastructure wants the map."""
    changes = case.before_the_fall()
    releases = [each for each in changes if _RELEASE.search(each.says)]
    others = [each for each in changes if each not in releases]
    machines = [each for each in others if _INFRASTRUCTURE.search(each.says)]
    if releases:
        yield Finding(
            rule="a release before it",
            says=f"Before it fell something was released: “{releases[0].says}”.",
            lines=_numbers([releases[0], case.fell]),
            instead="The code ships dark, a guard watches the flip, and flips it back by itself with"
            " the numbers that decided it.",
            lever="toggles",
            write=_TOGGLES,
        )
    if machines:
        yield Finding(
            rule="infrastructure changed before it",
            says=f"Before it fell what it runs on was changed: “{machines[0].says}”.",
            lines=_numbers([machines[0], case.fell]),
            instead="The change is written down beforehand (`detente changes record`), and the map"
            " says what falls if it goes wrong, before it is made.",
            lever="dependencies",
            write=_MAP,
        )


def _central_point(case: _Case) -> Iterator[Finding]:
    shared = [each for each in case.saying(_SHARED) if not each.means("up", "over")]
    felled = [
        each
        for each in case.all("down")
        if case.fell and seconds_between(case.fell.at, each.at) <= _TOGETHER
    ]
    things = {tag.of for each in felled for tag in each.tags if tag.meaning == "down"}
    if not shared and len(things) < 2:
        return
    felled = felled if len(things) >= 2 else shared
    yield Finding(
        rule="one thing fells many",
        says="Several things fell over one that they share.",
        lines=_numbers(felled),
        instead="The map shows the central point and what falls with it; a copy of the last good"
        " answer (`detente.work.guard`) keeps people working while it is away.",
        lever="dependencies",
        write=_MAP,
    )


def _vendor(case: _Case) -> Iterator[Finding]:
    spoken = case.saying(_VENDOR)
    if not spoken or case.fell is None:
        return
    sales = [each for each in case.saying(_SALES) if each not in spoken]
    if sales:
        yield Finding(
            rule="sales hang on a vendor",
            says="Sales stop because somebody else's service does.",
            lines=_numbers([*spoken, *sales][:6]),
            instead="The sale is taken, the call waits on disk, and goes out when the vendor is back:"
            " none lost, none twice.",
            lever="work",
            write=_WORK,
        )
    yield Finding(
        rule="no numbers about a vendor",
        says="Whose fault it was, and what the contract says to it, is told by nobody.",
        lines=_numbers(spoken[:3]),
        instead="The contract stands there as data: attainment by its own rules, credits owed, and"
        " evidence that the vendor checks offline.",
        lever="sla",
        write=_SLA,
    )


def _turned_slowly(case: _Case) -> Iterator[Finding]:
    turned, noticed = case.play.turn, case.noticed
    if turned is None or not case.play.turned_by_hand or noticed is None:
        return
    long = seconds_between(noticed.at, turned)
    turning = [each for each in case.lines if each.at == turned and each.means("action")]
    if long <= _LONG:
        return
    released = any(_RELEASE.search(each.says) for each in case.before_the_fall())
    yield Finding(
        rule="slow to turn",
        says=f"From noticing to what helped it took {lasting(long)}.",
        lines=_numbers([noticed, *turning]),
        instead=_TAKEN_BACK if released else _REHEARSED,
        lever="releases" if released else "incidents",
        write=_RELEASES if released else _INCIDENTS,
    )


_TAKEN_BACK = (
    "One person releases and takes back with one command; after shipping, checks are watched and it"
    " goes back by itself."
)
_REHEARSED = (
    "What helps stands in the retrospective of the last time, and a drill has tried it: an action"
    " that ends on `drill:NAME` ends only when it was held."
)


def _night_shift(case: _Case) -> Iterator[Finding]:
    people, releases = case.saying(_NIGHT_SHIFT), case.saying(_RELEASE)
    if not people or not releases:
        return
    yield Finding(
        rule="everybody at the release",
        says="A release keeps many people from their sleep.",
        lines=_numbers(people),
        instead="Gate, ship, verify, watch: one command, one person; everybody else follows on a"
        " page, or reads the morning report.",
        lever="releases",
        write=_RELEASES,
    )


def _by_hand(case: _Case) -> Iterator[Finding]:
    clicked = case.saying(_BY_HAND)
    if not clicked:
        return
    yield Finding(
        rule="tested by hand",
        says="Whether it works is found out by hand.",
        lines=_numbers(clicked),
        instead="The same tests run in CI, at the gate and in production, and their accounts and"
        " passwords live with them.",
        lever="acceptance",
        write=_ACCEPTANCE,
    )


def _certificate(case: _Case) -> Iterator[Finding]:
    spoken = case.saying(_CERTIFICATE)
    if not spoken or case.fell is None:
        return
    yield Finding(
        rule="a certificate",
        says="A certificate is part of the story.",
        lines=_numbers(spoken),
        instead="A check warns three weeks before one ends, and notes when another one answers.",
        lever="watch",
        write=_TLS,
    )


def _relapse(case: _Case) -> Iterator[Finding]:
    suspense = case.play.suspense
    if suspense is None:
        return
    again = [each for each in case.lines if each.at == suspense]
    yield Finding(
        rule="fell once more",
        says="It looked over, and then it was not.",
        lines=_numbers(again),
        instead="It counts as over only after some quiet, and what waited goes out gently.",
        lever="incidents",
        write=_INCIDENTS,
    )


def _no_answers(case: _Case) -> Iterator[Finding]:
    spoken = case.saying(_NO_ANSWER)
    if not spoken:
        return
    yield Finding(
        rule="no answers",
        says="At the end a question is left without an answer.",
        lines=_numbers(spoken),
        instead="The retrospective is drafted from the facts, and not closed while one of its four"
        " questions is unanswered; actions end when their check, test or drill has run.",
        lever="incidents",
        write=_INCIDENTS,
    )


_RULES: tuple[Rule, ...] = (
    _noticed_late,
    _noticed_by_people,
    _nobody_had_it,
    _changed_before,
    _central_point,
    _vendor,
    _turned_slowly,
    _night_shift,
    _by_hand,
    _certificate,
    _relapse,
    _no_answers,
)


# What to write. A test reads each as the configuration check does.

_WATCH = """\
services:
  shop: {}
watch:
  checks:
    shop: {http: "https://shop.example/health", every: 10s}
"""
_TLS = """\
services:
  shop: {}
watch:
  checks:
    shop-certificate: {tls: "shop.example:443", of: shop, every: 1h}
"""
_ACCEPTANCE = """\
services:
  shop: {}
acceptance:
  suites:
    shop:
      of: shop
      path: tests/acceptance
      base_url: {gate: "https://staging.shop.example", production: "https://shop.example"}
      every: 60s
  accounts:
    buyer: {user: ada.test, password: {env: SHOP_BUYER_PASSWORD}}
"""
_PAGER = """\
teams:
  dev: {mail: [dev@example.com]}
  ops: {mail: [ops@example.com]}
mail: {server: "smtp.example.com:587", from: Détente <detente@example.com>}
"""
_TOGGLES = """\
teams:
  dev: {title: Development}
services:
  shop: {}
watch:
  checks:
    shop: {http: "https://shop.example/health", every: 10s}
toggles:
  toggles:
    new-checkout: {owner: dev, for: shop, percent: 10%, guard: {checks: [shop], for: 30m}}
"""
_MAP = """\
infrastructure:
  sign-on: {}
services:
  portal: {needs: [sign-on]}
journeys:
  renew-a-permit: {earns: 1200 EUR, needs: [portal]}
"""
_WORK = """\
vendors:
  cardpay: {}
work:
  gateway: 127.0.0.1:3384
  routes:
    payments: {vendor: cardpay, to: "https://pay.cardpay.example", timeout: 3s}
"""
_SLA = """\
vendors:
  cardpay: {}
watch:
  checks:
    cardpay: {http: "https://pay.cardpay.example/health", every: 10s}
sla:
  promises:
    cardpay-uptime: {vendor: cardpay, checks: [cardpay], target: 99.95%}
"""
_RELEASES = """\
services:
  shop: {}
watch:
  checks:
    shop: {http: "https://shop.example/health", every: 10s}
releases:
  services:
    shop:
      ship: {run: [./ship]}
      back: {run: [./back]}
      watch: {checks: [shop], for: 10m}
"""
_INCIDENTS = """\
incidents:
  closes_after: 5m
  retrospective_after: 30m
  answered_within: 7d
"""
WRITTEN = (
    _WATCH,
    _TLS,
    _ACCEPTANCE,
    _PAGER,
    _TOGGLES,
    _MAP,
    _WORK,
    _SLA,
    _RELEASES,
    _INCIDENTS,
)
