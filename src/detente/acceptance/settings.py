"""What people write about acceptance tests: `acceptance:` in `detente.yaml`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown
from detente.kernel.config import Duration, Mistake, Place, Secret, Url

FALLS_AFTER = 2
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the same tests find what they test."""

    ci: Annotated[Url | None, Meta(description="while it is built")] = None
    gate: Annotated[Url | None, Meta(description="before it is shipped")] = None
    production: Annotated[Url | None, Meta(description="where customers are")] = None


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder of tests that vouch for something: run in CI, at the release gate, in production."""

    of: Annotated[str, Meta(description="what its tests vouch for, unless they say so themselves")]
    path: Annotated[Place, Meta(description="where the tests are, beside this file")]
    python: Annotated[
        Place | None,
        Meta(description="what runs them, with pytest and detente in it; by default our own"),
    ] = None
    base_url: Addresses = Addresses()
    every: Annotated[
        Duration | None, Meta(description="run so often in production; by default not there")
    ] = None
    timeout: Annotated[Duration, Meta(description="how long one test may take")] = Duration(30)
    falls_after: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(description="so many failures in a row in production before it counts as failing"),
    ] = FALLS_AFTER
    only: Annotated[
        tuple[str, ...], Meta(description="the tests to run in production; by default all of them")
    ] = ()
    environment: Annotated[
        Mapping[str, str], Meta(description="what its process finds in its environment; no secrets")
    ] = {}


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who exists only for tests."""

    user: Annotated[str, Meta(description="the name it signs on with")]
    password: Annotated[Secret, Meta(description="where it is found, by reference")]


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said it would do, as tests."""

    suites: Mapping[str, Suite] = {}
    accounts: Mapping[str, Account] = {}


def mistakes(acceptance: Acceptance, catalogue: Catalogue) -> Iterator[Mistake]:
    """Suites of nothing, production without an address.

    Whether the folder is there is found out when it is run: a folder that is missing tonight must not
    keep the node from starting.
    """
    for name, suite in acceptance.suites.items():
        here = ("acceptance", "suites", name)
        if catalogue.find(suite.of) is None:
            yield unknown((*here, "of"), "service, vendor or journey", suite.of, _there(catalogue))
        if suite.every is not None and suite.base_url.production is None:
            says = "to run in production the suite needs `base_url: {production: https://…}`"
            yield Mistake((*here, "every"), says)
        if suite.every is not None and suite.every < 1:
            yield Mistake((*here, "every"), "run it at most once a second; write 1s or more")
        for variable, value in suite.environment.items():
            where = (*here, "environment", variable)
            if not _VARIABLE.fullmatch(variable):
                says = "is no name of a variable; use letters, digits and _, as in SHOP_LANGUAGE"
                yield Mistake(where, f"{variable!r} {says}")
            elif "\0" in value:
                yield Mistake(where, "no variable can hold the sign 0; leave it out")


def _there(catalogue: Catalogue) -> Mapping[str, object]:
    return {
        **catalogue.services,
        **catalogue.journeys,
        **catalogue.vendors,
        **catalogue.infrastructure,
    }


def python_of(suite: Suite) -> str:
    return str(suite.python.path) if suite.python is not None else sys.executable
