"""How do we keep working without them?

from detente.work import guard

@guard("cardpay", timeout=2.0, fallback=None)
async def balance(card: str) -> int | None: ...
"""

from detente.work.engine.breaker import Breaker, BreakerSettings
from detente.work.engine.guard import Guard, RememberingGuard, Unavailable, guard
from detente.work.engine.known import Known

__all__ = [
    "Breaker",
    "BreakerSettings",
    "Guard",
    "Known",
    "RememberingGuard",
    "Unavailable",
    "guard",
]
