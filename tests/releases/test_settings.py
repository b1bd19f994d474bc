"""Every mistake in `releases:` is told at once, with its place and what to do."""

from __future__ import annotations

import pytest

from detente.app import declared_type, mistakes
from detente.kernel.config import ConfigErrors, loads
from detente.releases.settings import Releases

MAIL = 'mail: {server: "mail.shop.test:25", from: d@shop.test}'
GOOD = """
teams: {ops: {mail: [ops@shop.test]}, biz: {}}
mail: {server: "mail.shop.test:25", from: d@shop.test}
services: {shop: {}}
acceptance: {suites: {smoke: {of: shop, path: tests}}}
releases:
  timezone: Europe/Berlin
  must_know: [ops]
  lead_time: {normal: 2d}
  billing_code: "[A-Z]{3}-\\\\d{4}"
  morning_report: {to: [ops], at: "06:30"}
  services:
    shop:
      gate: [smoke, {run: [make, test], timeout: 5m}]
      emergency: [smoke]
      ship: {run: [./ship.sh]}
      back: {run: [./back.sh]}
      watch: {for: 10m}
  freezes:
    - {title: Weekend, weekly: "Fri 15:00 to Mon 06:00", reason: nobody is there, owner: Ann}
    - {title: Christmas, from: 2026-12-20, until: 2027-01-04 06:00, reason: all buy, owner: Eve, services: [shop]}
"""


def wrong(text: str) -> str:
    with pytest.raises(ConfigErrors) as found:
        loads(text, declared_type(), cross=mistakes)
    return str(found.value)


def test_a_good_one() -> None:
    """Everything that can be written, read."""
    declared = loads(GOOD, declared_type(), cross=mistakes)
    releases: Releases = declared.releases  # type: ignore[attr-defined]
    assert releases.services["shop"].gate[0] == "smoke"
    assert releases.freezes[0].weekly is not None
    assert releases.freezes[0].weekly.ends == (4 * 1440 + 15 * 60, 6 * 60)
    assert releases.lead_time.normal == 2 * 86_400
    assert releases.morning_report is not None
    assert releases.morning_report.at.minutes == 390


def test_every_mistake_at_once() -> None:
    """Names that nothing answers to, times that are none, and what contradicts itself."""
    text = GOOD.replace("Europe/Berlin", "Europe/Berln").replace(
        "must_know: [ops]", "must_know: [oops]"
    )
    text = (
        text.replace("to: [ops]", "to: [biz]")
        .replace("[A-Z]{3}", "[A-Z")
        .replace("for: 10m", "for: 0s")
    )
    text = text.replace("until: 2027-01-04 06:00", "until: 2025-01-04 06:00")
    text = text.replace("run: [./ship.sh]", "run: [''], timeout: 0s")
    told = wrong(text)
    for part in (
        "no time zone is called Europe/Berln", "oops", "biz has no mail address",
        "this is no regular expression", "a watch lasts longer than nothing",
        "2025-01-04 06:00 is not after 2026-12-20", "the first of the list is the program",
        "a program needs some time",
    ):  # fmt: skip
        assert part in told, told


@pytest.mark.parametrize(
    ("before", "instead", "says"),
    [
        ("Fri 15:00 to Mon 06:00", "Friday afternoon", "Fri 15:00 to Mon 06:00"),
        ("Fri 15:00 to Mon 06:00", "Foo 15:00 to Mon 06:00", "Fri 15:00 to Mon 06:00"),
        ("2026-12-20,", "2026-02-31,", "there is no 2026-02-31"),
        ("2026-12-20,", "soon,", "2026-12-20 18:00"),
        ('"06:30"', '"6 in the morning"', "07:00"),
        ("run: [./back.sh]", "run: []", "run"),
        ("  back: {run: [./back.sh]}", "", "back"),
        ("    shop:\n      gate", "    shp:\n      gate", "shop"),
        ("from: 2026-12-20, ", "", "this lacks from"),
        ("owner: Ann}", 'owner: Ann, until: "2026-12-20"}', "either from and until, or weekly"),
        ("services: [shop]}", "services: [shoop]}", "shop"),
        ("for: 10m", "for: 10m, checks: [nosuch]", "nosuch"),
        ("for: 10m", "for: 10m, routes: [pay]", "watch.routes[0]: no route is called pay"),
        ("for: 10m", "for: 10m, acceptance: [smok]", "did you mean smoke?"),
        (
            "emergency: [smoke]",
            "emergency: [smoke, smock]",
            "emergency[1]: no suite is called smock",
        ),
        (
            "gate: [smoke, ",
            "gate: [smok, ",
            "gate[0]: no suite is called smok; did you mean smoke?",
        ),
        (MAIL, "", "the report is sent by mail, and nothing says how"),
    ],
)
def test_each_mistake_has_its_sentence(before: str, instead: str, says: str) -> None:
    """It names what to write instead."""
    assert before in GOOD
    assert says in wrong(GOOD.replace(before, instead, 1))
