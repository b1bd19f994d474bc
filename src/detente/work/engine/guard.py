"""What does our own program do while a vendor does not answer?

A guard stands in front of a call to somebody else. It cuts the call short, stops calling while
they are down, and hands out a fallback instead. It lives in the caller's process, asks nobody, and
goes on working when Détente itself is gone.

    @guard("cardpay", timeout=2.0, fallback=None)
    async def balance(card: str) -> int | None: ...

    with guard("cardpay", timeout=2.0).call():
        ...

Where yesterday's answer is better than none, it may be told what they last said, and how old that is:

    @guard("cas", timeout=2.0, last_known_good="15m", key=lambda session: session)
    def who_is(session: str) -> str: ...

    answer = who_is(session)   # answer.value, and answer.age: 0 when they said so just now
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

from detente.kernel.clock import Seconds, lasting
from detente.work.engine.breaker import Breaker, BreakerSettings, Permit
from detente.work.engine.known import Known, Memory

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


def _after_fork() -> None:
    """Threads of the parent that held a lock, or had a call under way, do not live in the child."""
    global _naming  # noqa: PLW0603 - the parent's may be held for ever
    _naming = threading.Lock()
    for breaker in list(_breakers.values()):
        breaker.after_fork()


os.register_at_fork(after_in_child=_after_fork)

Bound = Seconds | str | timedelta
"""How old an answer may be: seconds, `"15m"`, or a timedelta."""


@overload
def guard(
    name: str,
    *,
    timeout: Seconds | None = None,
    fallback: object = NO_FALLBACK,
    answers: tuple[type[Exception], ...] = (),
    breaker: Breaker | BreakerSettings | None = None,
) -> Guard: ...


@overload
def guard(
    name: str,
    *,
    timeout: Seconds | None = None,
    answers: tuple[type[Exception], ...] = (),
    breaker: Breaker | BreakerSettings | None = None,
    last_known_good: Bound,
    key: Callable[..., Hashable] | None = None,
    keep: Path | str | None = None,
    most: int = 1_000,
) -> RememberingGuard: ...


def guard(
    name: str,
    *,
    timeout: Seconds | None = None,
    fallback: object = NO_FALLBACK,
    answers: tuple[type[Exception], ...] = (),
    breaker: Breaker | BreakerSettings | None = None,
    last_known_good: Bound | None = None,
    key: Callable[..., Hashable] | None = None,
    keep: Path | str | None = None,
    most: int = 1_000,
) -> Guard | RememberingGuard:
    """Stand guard over calls to `name`. All guards of one name in a program share one breaker.

    `timeout` cuts short what can be awaited; a plain function is timed, and what came later than
    that counts as slow. `fallback` is a value, or is called with the call's own arguments; it
    answers when the call is refused, cut short or fails. Without it, refused and cut short calls
    raise `Unavailable`, and failures pass through. `answers` lists exceptions by which the other
    side does answer, such as a declined card: they pass through and count as a success. `breaker`
    is used as it is; settings make the breaker of that name, and whoever names it first decides.

    `last_known_good` says for how long a former answer may stand in. The function then answers with
    `Known(value, age)`: age is 0 when they said so just now. Older than agreed, or never answered,
    it raises `Unavailable`. One of `answers` takes the former answer back. `key` is called with the
    call's arguments and names the answer; by default the arguments do. `keep` is a file that takes
    the answers over a restart; `most` bounds how many are remembered.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"the timeout of guard {name!r} is {timeout}; it must be more than 0")
    if not isinstance(breaker, Breaker):
        breaker = _breaker_of(name, breaker, timeout)
    if last_known_good is None:
        if key is not None or keep is not None:
            raise ValueError(f'guard {name!r} remembers nothing; say last_known_good="15m"')
        return Guard(name, breaker, timeout, fallback, answers)
    _refuse_contradictions(name, fallback, key, keep, most)
    plain = Guard(name, breaker, timeout, NO_FALLBACK, answers)
    memory = Memory(name, most=most, file=None if keep is None else Path(keep))
    return RememberingGuard(plain, _bound(name, last_known_good), key, memory)


def _refuse_contradictions(
    name: str, fallback: object, key: object, keep: Path | str | None, most: int
) -> None:
    if fallback is not NO_FALLBACK:
        raise ValueError(f"guard {name!r}: say fallback or last_known_good, not both")
    if keep is not None and key is None:
        says = "say which part of a call names its answer, such as key=lambda session: session"
        raise ValueError(f"guard {name!r} keeps answers in {keep}; {says}")
    if most < 1:
        raise ValueError(f"guard {name!r} remembers {most} answers; it must be 1 or more")


def _bound(name: str, said: Bound) -> Seconds:
    if isinstance(said, timedelta):
        bound = said.total_seconds()
    elif isinstance(said, str):
        from detente.kernel.config.values import Duration

        bound = float(Duration.read(said))
    else:
        bound = float(said)
    if not 0 < bound < float("inf"):
        raise ValueError(
            f"guard {name!r}: last_known_good is {said}; it must be some time, such as 15m"
        )
    return bound


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
        ask, answers = self.breaker.ask, self._answers

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = ask()
            if permit is None:
                return cast(R, self._refused(args, kwargs))
            try:
                value = function(*args, **kwargs)
            except answers:
                permit.succeeded()
                raise
            except Exception as error:
                permit.failed(_told(error))
                if self._fallback is NO_FALLBACK:
                    raise
            except BaseException:  # cancelled, or the program is ending: our doing, not theirs
                permit.dropped()
                raise
            else:
                permit.succeeded()
                return value
            return cast(R, self._instead(*args, **kwargs))

        return guarded

    def _awaited(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        return self._cut_short(function) if self.timeout is not None else self._patient(function)

    def _patient(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """As `_plain`, awaited. Cutting short costs ten times as much as guarding."""
        ask, answers = self.breaker.ask, self._answers

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = ask()
            if permit is None:
                return cast(R, await _in_time(self._refused(args, kwargs)))
            try:
                value = await function(*args, **kwargs)
            except answers:
                permit.succeeded()
                raise
            except Exception as error:
                permit.failed(_told(error))
                if self._fallback is NO_FALLBACK:
                    raise
            except BaseException:
                permit.dropped()
                raise
            else:
                permit.succeeded()
                return value
            return cast(R, await _in_time(self._instead(*args, **kwargs)))

        return guarded

    def _cut_short(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            call = Call(self)
            try:
                async with call:
                    return await function(*args, **kwargs)
            except Exception:
                if not call.missed or self._fallback is NO_FALLBACK:
                    raise
            return cast(R, await _in_time(self._instead(*args, **kwargs)))

        return guarded

    def _refused(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Not let through: the fallback, or the error that says when to ask again."""
        if self._fallback is not NO_FALLBACK:
            return self._instead(*args, **kwargs)
        now = self.breaker.snapshot()
        raise Unavailable(self.name, now.reason, now.retry_after)

    def _instead(self, *args: Any, **kwargs: Any) -> Any:
        return self._fallback(*args, **kwargs) if callable(self._fallback) else self._fallback


async def _in_time(answer: Any) -> Any:
    """A fallback may be async too."""
    import inspect

    return await answer if inspect.isawaitable(answer) else answer


class RememberingGuard:
    """Decorates functions, plain or async; they answer with what is known and how old that is."""

    def __init__(
        self,
        guard: Guard,
        bound: Seconds,
        key: Callable[..., Hashable] | None,
        memory: Memory,
    ) -> None:
        self.guard = guard
        self.bound = bound
        self._key = key
        self._memory = memory

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> Callable[P, Coroutine[Any, Any, Known[R]]]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> Callable[P, Known[R]]: ...

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import inspect

        guarded = self.guard(function)
        if inspect.iscoroutinefunction(function):
            return self._awaited(function, guarded)
        return self._plain(function, guarded)

    def _plain(
        self, function: Callable[..., Any], guarded: Callable[..., Any]
    ) -> Callable[..., Known[Any]]:
        @functools.wraps(function)
        def known(*args: Any, **kwargs: Any) -> Known[Any]:
            key = self._key_of(args, kwargs)
            try:
                value = guarded(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whatever it was, they did not answer
                return self._instead(key, function, error)
            return self._fresh(key, value)

        return known

    def _awaited(
        self, function: Callable[..., Any], guarded: Callable[..., Any]
    ) -> Callable[..., Coroutine[Any, Any, Known[Any]]]:
        @functools.wraps(function)
        async def known(*args: Any, **kwargs: Any) -> Known[Any]:
            key = self._key_of(args, kwargs)
            try:
                value = await guarded(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - as above
                return self._instead(key, function, error)
            return self._fresh(key, value)

        return known

    def _key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        key = self._key(*args, **kwargs) if self._key else (args, tuple(sorted(kwargs.items())))
        try:
            hash(key)
        except TypeError:
            raise TypeError(
                f"guard {self.guard.name!r} cannot tell calls apart by {type(key).__name__} with"
                " lists or dicts in it; say what names the answer, such as key=lambda user: user.id"
            ) from None
        return key

    def _fresh(self, key: Hashable, value: Any) -> Known[Any]:
        self._memory.remember(key, value)
        return Known(value)

    def _instead(self, key: Hashable, function: Callable[..., Any], error: Exception) -> Known[Any]:
        """What they last said, while it may stand in; otherwise the error says why not."""
        if isinstance(error, self.guard._answers):  # they did answer, and it was no
            self._memory.forget(key)
            raise error
        known = self._memory.recall(key, _kind_of(function))
        if known is not None and known.age <= self.bound:
            return known
        reason = error.reason if isinstance(error, Unavailable) else _told(error)
        raise Unavailable(
            self.guard.name, f"{reason}; {self._too_old(known)}", self.guard.breaker.retry_after
        ) from error

    def _too_old(self, known: Known[Any] | None) -> str:
        if known is None:
            return "no former answer is known"
        return f"their last answer is {lasting(known.age)} old, more than {lasting(self.bound)}"


def _kind_of(function: Callable[..., Any]) -> Any:
    """What the function says it answers with, so that what comes from disk has that type again."""
    from typing import get_type_hints

    try:
        return get_type_hints(function).get("return", Any)
    except Exception:  # noqa: BLE001 - annotations may name anything; then it comes as JSON says it
        return Any


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
