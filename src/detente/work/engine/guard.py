"""What does our own program do while a vendor does not answer?

A guard stands in front of a call to somebody else. It cuts the call short, stops calling while
they are down, and hands out a fallback instead. It lives in the caller's process, asks nobody, and
goes on working when Détente itself is gone.

    @guard("cardpay", timeout=2.0, fallback=None)
    async def balance(card: str) -> int | None: ...

    with guard("cardpay", timeout=2.0).call():
        ...
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from detente.kernel.clock import Seconds, lasting
from detente.work.engine.breaker import Breaker, BreakerSettings, Permit

if TYPE_CHECKING:
    from asyncio import Timeout

P = ParamSpec("P")
R = TypeVar("R")


class Unavailable(Exception):
    """{name} cannot be called: {reason}. Try again {when}, or give the guard a fallback."""

    def __init__(self, name: str, reason: str, retry_after: Seconds | None) -> None:
        self.name = name
        self.reason = reason
        self.retry_after = retry_after  # None: people hold it open, only they know
        when = "once it is released" if retry_after is None else f"in {lasting(retry_after)}"
        told = (type(self).__doc__ or "").format(
            name=name, reason=reason, when="now" if retry_after == 0 else when
        )
        super().__init__(told)


class _None:
    def __repr__(self) -> str:
        return "no fallback"


NO_FALLBACK: Final = _None()

_breakers: dict[str, Breaker] = {}
_naming = threading.Lock()


def guard(
    name: str,
    *,
    timeout: Seconds | None = None,
    fallback: object = NO_FALLBACK,
    answers: tuple[type[Exception], ...] = (),
    breaker: Breaker | BreakerSettings | None = None,
) -> Guard:
    """Stand guard over calls to `name`. All guards of one name in a program share one breaker.

    `timeout` cuts short what can be awaited; a plain function is timed, and what came later than
    that counts as slow. `fallback` is a value, or is called with the call's own arguments; it
    answers when the call is refused, cut short or fails. Without it, refused and cut short calls
    raise `Unavailable`, and failures pass through. `answers` lists exceptions by which the other
    side does answer, such as a declined card: they pass through and count as a success. `breaker`
    is used as it is; settings make the breaker of that name, and whoever names it first decides.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"the timeout of guard {name!r} is {timeout}; it must be more than 0")
    if not isinstance(breaker, Breaker):
        breaker = _breaker_of(name, breaker, timeout)
    return Guard(name, breaker, timeout, fallback, answers)


def _breaker_of(name: str, settings: BreakerSettings | None, timeout: Seconds | None) -> Breaker:
    if settings is None:
        settings = BreakerSettings() if timeout is None else BreakerSettings(slow_after=timeout)
    with _naming:
        return _breakers.setdefault(name, Breaker(settings, now=time.monotonic))


class Guard:
    """Decorates functions, plain or async, and opens blocks: `with it.call():`."""

    def __init__(
        self,
        name: str,
        breaker: Breaker,
        timeout: Seconds | None,
        fallback: object,
        answers: tuple[type[Exception], ...],
    ) -> None:
        self.name = name
        self.breaker = breaker
        self.timeout = timeout
        self._fallback = fallback
        self._answers = answers

    def call(self) -> Call:
        """One guarded call, as a block: `with` or `async with`. A block has no fallback."""
        return Call(self)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        import inspect

        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} yields; guard the calls it makes with"
                f" `with guard({self.name!r}).call():` inside it instead"
            )
        if inspect.iscoroutinefunction(function):
            return cast(Callable[P, R], self._awaited(function))
        return self._plain(function)

    def _plain(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            call = Call(self)
            try:
                with call:
                    return function(*args, **kwargs)
            except Exception:
                if not call.missed or self._fallback is NO_FALLBACK:
                    raise
            return cast(R, self._instead(*args, **kwargs))

        return guarded

    def _awaited(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            import inspect

            call = Call(self)
            try:
                async with call:
                    return await function(*args, **kwargs)
            except Exception:
                if not call.missed or self._fallback is NO_FALLBACK:
                    raise
            instead = self._instead(*args, **kwargs)
            return cast(R, await instead if inspect.isawaitable(instead) else instead)

        return guarded

    def _instead(self, *args: Any, **kwargs: Any) -> Any:
        return self._fallback(*args, **kwargs) if callable(self._fallback) else self._fallback


class Call:
    """One guarded call under way, for `with` (timed) and `async with` (cut short). Used once."""

    missed = False
    """Afterwards: they did not answer, so whatever they should have said is missing."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._permit: Permit | None = None
        self._timeout: Timeout | None = None

    def __enter__(self) -> Call:
        if self._permit is not None:
            raise RuntimeError("a guarded call is used once; ask the guard for another `call()`")
        guard = self._guard
        self._permit = guard.breaker.ask()
        if self._permit is None:
            self.missed = True
            now = guard.breaker.snapshot()
            raise Unavailable(guard.name, now.reason, now.retry_after)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._permit is not None
        if error is None or isinstance(error, self._guard._answers):
            self._permit.succeeded()
        elif isinstance(error, Exception):
            self.missed = True
            self._permit.failed(_told(error))
        else:  # cancelled, or the program is ending: that is our doing, not theirs
            self._permit.dropped()

    async def __aenter__(self) -> Call:
        import asyncio

        self.__enter__()
        self._timeout = asyncio.timeout(self._guard.timeout)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._timeout is not None
        assert self._permit is not None
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as cut_short:
            self.missed = True
            reason = f"no answer within {lasting(self._guard.timeout or 0)}"
            self._permit.failed(reason)
            retry_after = self._guard.breaker.retry_after
            raise Unavailable(self._guard.name, reason, retry_after) from cut_short
        self.__exit__(kind, error, trace)


def _told(error: Exception) -> str:
    """`ConnectionRefusedError: …` in one line, short enough for a page."""
    said = str(error).strip().partition("\n")[0]
    kind = type(error).__name__
    return f"{kind}: {said}"[:200] if said else kind
