"""Do the books agree?

Three books that know nothing of each other: the shop's (what customers were promised), the vendor's
(what it charged) and Détente's. The shop and the vendor are compared by policy; Détente must say the
same in each of its sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from detente.kernel.money import Money, total


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What comparing the books says."""

    sales: int
    taken: tuple[Money, ...]
    charged: int
    charged_money: tuple[Money, ...]
    settled: int
    parked_and_charged: int
    twice: list[str]  # policies charged more than once
    lost: list[str]  # policies promised and never charged
    unasked: list[str]  # policies charged that no customer was promised
    different: list[str]  # policies charged another amount
    detente: Mapping[str, int]  # calls by state
    disagreements: list[str]

    @property
    def agree(self) -> bool:
        return not self.disagreements


def compare(
    sales: Sequence[Mapping[str, Any]],
    charges: Sequence[Mapping[str, Any]],
    detente: Mapping[str, int],
    *,
    settled: Collection[str],
    parked_and_charged: int,
) -> Verdict:
    """`sales`: what the shop promised; `charges`: the vendor's book; `detente`: calls by state.

    `settled`: policies that people got paid in another way, by hand.
    """
    promised = {sale["policy"]: (sale["amount"], sale["currency"]) for sale in sales}
    times = Counter(charge["reference"] for charge in charges)
    booked = {each["reference"]: (each["amount"], each["currency"]) for each in charges}
    twice = sorted(policy for policy, count in times.items() if count > 1)
    lost = sorted(promised.keys() - booked.keys() - set(settled))
    twice += sorted(booked.keys() & set(settled))
    unasked = sorted(booked.keys() - promised.keys())
    different = sorted(
        policy for policy in promised.keys() & booked.keys() if promised[policy] != booked[policy]
    )
    charged, by_hand = detente.get("charged", 0), detente.get("settled", 0)
    open_calls = sum(detente.get(state, 0) for state in ("taken", "parked", "held", "lost"))
    found = {
        f"charged twice: {', '.join(twice[:5])}": bool(twice),
        f"promised and never charged: {', '.join(lost[:5])}": bool(lost),
        f"charged without a promise: {', '.join(unasked[:5])}": bool(unasked),
        f"charged another amount: {', '.join(different[:5])}": bool(different),
        f"Détente counts {charged} charged, the vendor {len(charges)}": charged != len(charges),
        f"Détente counts {by_hand} settled by hand, not {len(settled)}": by_hand != len(settled),
        f"{open_calls} calls are not finished": open_calls > 0,
        "nothing was sold, so nothing was proved": not promised,
    }
    return Verdict(
        sales=len(promised),
        taken=total(Money(*worth) for worth in promised.values()),
        charged=len(charges),
        charged_money=total(Money(each["amount"], each["currency"]) for each in charges),
        settled=len(settled),
        parked_and_charged=parked_and_charged,
        twice=twice,
        lost=lost,
        unasked=unasked,
        different=different,
        detente=dict(detente),
        disagreements=[sentence for sentence, true in found.items() if true],
    )
