"""Install the sign-on server of the demo: `python -m detente.demo.signon`."""

from __future__ import annotations

from detente.demo.signon import install

install()
