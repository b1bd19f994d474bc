"""The machinery that keeps us working: the breaker, the guard, the gateway."""
