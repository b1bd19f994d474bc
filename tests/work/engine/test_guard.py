from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
import threading

import pytest

from detente.work import Breaker, BreakerSettings, Unavailable, guard

ONE_IS_ENOUGH = BreakerSettings(minimum_calls=1, slow_after=None)
_names = (f"vendor-{number}" for number in itertools.count())


class Declined(Exception):
    """The vendor's answer to a bad card."""


def a_breaker(**changes: object) -> Breaker:
    return Breaker(BreakerSettings(**changes), now=lambda: 0.0)  # type: ignore[arg-type]


def an_open_breaker() -> Breaker:
    breaker = a_breaker()
    breaker.hold_open("Mia: they are moving house")
    return breaker


def test_a_good_answer_passes_through() -> None:
    """A guarded function answers as it would unguarded, and keeps its name."""

    @guard(next(_names))
    def price(of: str, *, twice: bool = False) -> int:
        """What it costs."""
        return len(of) * (2 if twice else 1)

    assert price("abc", twice=True) == 6
    assert (price.__name__, price.__doc__) == ("price", "What it costs.")


def test_without_a_fallback_it_says_who_is_away_and_what_to_do() -> None:
    """Refused and nothing to fall back on: the error names the vendor, the reason and the remedy."""

    @guard("cardpay", breaker=an_open_breaker())
    def charge() -> str:
        raise AssertionError("called although open")

    with pytest.raises(Unavailable) as refused:
        charge()
    assert str(refused.value) == (
        "cardpay cannot be called: Mia: they are moving house."
        " Try again once it is released, or give the guard a fallback."
    )


@pytest.mark.parametrize("fallback", [None, 0, "closed today"])
def test_any_value_can_be_the_fallback(fallback: object) -> None:
    """A refused call is answered by the fallback, be it None."""

    @guard("cardpay", breaker=an_open_breaker(), fallback=fallback)
    def charge() -> object:
        raise AssertionError("called although open")

    assert charge() == fallback


def test_a_fallback_may_be_worked_out() -> None:
    """A callable fallback gets the call's own arguments."""

    @guard("cardpay", breaker=an_open_breaker(), fallback=lambda amount, currency: -amount)
    def charge(amount: int, currency: str) -> int:
        return amount

    assert charge(5, currency="EUR") == -5


def test_failures_fall_back_and_open_it() -> None:
    """A call that fails is answered by the fallback; after enough of them nobody calls at all."""
    called = []

    @guard("cardpay", breaker=a_breaker(minimum_calls=3), fallback="later")
    def charge() -> str:
        called.append(1)
        raise ConnectionError("reset by peer")

    assert [charge() for _ in range(10)] == ["later"] * 10
    assert len(called) == 3


def test_failures_pass_through_without_a_fallback() -> None:
    """Without a fallback the caller sees the very error, and the breaker its words."""
    breaker = Breaker(ONE_IS_ENOUGH, now=lambda: 0.0)

    @guard("cardpay", breaker=breaker)
    def charge() -> None:
        raise ConnectionError("reset by peer\nsecret second line")

    with pytest.raises(ConnectionError):
        charge()
    assert breaker.snapshot().reason.endswith("ConnectionError: reset by peer")


def test_a_refusal_is_an_answer() -> None:
    """A declined card passes through, falls back to nothing and never opens the breaker."""
    breaker = Breaker(ONE_IS_ENOUGH, now=lambda: 0.0)

    @guard("cardpay", breaker=breaker, answers=(Declined,), fallback="later")
    def charge() -> str:
        raise Declined

    for _ in range(9):
        with pytest.raises(Declined):
            charge()
    assert breaker.snapshot().failures == 0


def test_a_slow_plain_call_is_counted_as_slow() -> None:
    """Plain functions are not interrupted; that they crawled opens the breaker all the same."""
    reads = itertools.count(step=2.0)
    breaker = Breaker(BreakerSettings(minimum_calls=2, slow_after=2.0), now=lambda: next(reads))

    @guard("cardpay", timeout=2.0, breaker=breaker)
    def charge() -> str:
        return "at last"

    assert charge() == "at last"
    assert charge() == "at last"
    with pytest.raises(Unavailable, match="took longer than 2 s"):
        charge()


def test_what_hangs_is_cut_short() -> None:
    """An async call that hangs is cut at the timeout, counted, and answered by the fallback."""
    breaker = Breaker(ONE_IS_ENOUGH, now=lambda: 0.0)
    cut = []

    @guard("cardpay", timeout=0.01, breaker=breaker, fallback="parked")
    async def charge() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append("cut")
            raise
        return "never"

    assert asyncio.run(charge()) == "parked"
    assert cut == ["cut"]
    assert "no answer within 10 ms" in breaker.snapshot().reason


def test_cut_short_without_a_fallback_is_unavailable() -> None:
    """Without a fallback the caller is told that there was no answer in time, and when to retry."""

    @guard("cardpay", timeout=0.01, breaker=a_breaker())
    async def charge() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unavailable, match=r"no answer within 10 ms\. Try again now") as cut:
        asyncio.run(charge())
    assert cut.value.retry_after == 0


def test_their_own_timeout_is_a_failure_like_any_other() -> None:
    """A TimeoutError raised inside is not mistaken for the guard's own."""

    @guard("cardpay", timeout=5.0, breaker=a_breaker())
    async def charge() -> None:
        raise TimeoutError("socket")

    with pytest.raises(TimeoutError, match="socket"):
        asyncio.run(charge())


def test_an_async_fallback_is_awaited() -> None:
    """The fallback of an async function may be async itself."""

    async def park(amount: int) -> str:
        await asyncio.sleep(0)
        return f"parked {amount}"

    @guard("cardpay", breaker=an_open_breaker(), fallback=park)
    async def charge(amount: int) -> str:
        return "charged"

    assert asyncio.run(charge(3)) == "parked 3"


def test_a_cancelled_caller_is_cancelled() -> None:
    """Cancelling the caller ends the call, gives no fallback, and counts neither way."""
    breaker = a_breaker(minimum_calls=1)

    @guard("cardpay", timeout=60.0, breaker=breaker, fallback="parked")
    async def charge() -> str:
        await asyncio.Event().wait()
        return "never"

    async def cancels() -> None:
        task = asyncio.create_task(charge())
        await asyncio.sleep(0)
        assert breaker.snapshot().in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancels())
    now = breaker.snapshot()
    assert (now.calls, now.in_flight) == (0, 0)


def test_a_block_can_be_guarded() -> None:
    """`with` and `async with` guard a block: failures count, refusals raise."""
    breaker = a_breaker(minimum_calls=2)
    cardpay = guard("cardpay", timeout=1.0, breaker=breaker)

    async def in_a_loop() -> None:
        async with cardpay.call():
            raise ConnectionError

    with pytest.raises(ConnectionError), cardpay.call():
        raise ConnectionError
    with pytest.raises(ConnectionError):
        asyncio.run(in_a_loop())
    with pytest.raises(Unavailable), cardpay.call():
        raise AssertionError("called although open")
    with pytest.raises(Unavailable):
        asyncio.run(in_a_loop())


def test_a_block_is_used_once() -> None:
    """Entering the same call twice is refused: its permit was for one call."""
    once = guard(next(_names)).call()
    with once:
        pass
    with pytest.raises(RuntimeError, match="used once"), once:
        pass


def test_guards_of_one_name_share_a_breaker() -> None:
    """What charging finds out about a vendor, refunding knows too; another vendor is unharmed."""
    name, other = next(_names), next(_names)

    @guard(name, breaker=ONE_IS_ENOUGH)
    def charge() -> None:
        raise ConnectionError

    with contextlib.suppress(ConnectionError):
        charge()
    with pytest.raises(Unavailable), guard(name).call():
        pass
    with guard(other).call():
        pass


def test_threads_naming_a_vendor_at_once_get_one_breaker() -> None:
    """Guards of one name made in many threads at the same moment still share one breaker."""
    name, start, made = next(_names), threading.Barrier(8), []

    def makes() -> None:
        start.wait()
        made.append(guard(name).breaker)

    threads = [threading.Thread(target=makes) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1


def test_generators_are_refused_with_the_remedy() -> None:
    """A generator ends long after its call returned, so guarding one is a mistake said at once."""

    def pages() -> object:
        yield 1

    with pytest.raises(TypeError, match=r"`with guard\('cardpay'\)\.call\(\):`"):
        guard("cardpay")(pages)


def test_a_timeout_of_nothing_is_refused() -> None:
    """A timeout of zero would refuse every call, so it is refused itself."""
    with pytest.raises(ValueError, match="more than 0"):
        guard("cardpay", timeout=0)


def test_importing_it_stays_light() -> None:
    """A program that guards a call loads no server, no loop and no configuration reader."""
    heavy = "asyncio aiohttp apsw yaml jinja2 click rich detente.work.slice detente.facts"
    asks = (
        "import sys; from detente.work import guard;"
        f" print(*[name for name in {heavy.split()!r} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", asks], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""
