"""What did people write in `detente.yaml`, and is it right?

`load` answers with the settings, or with every mistake at once: file, line, column, what was
expected, and the nearest right word. Secrets are named and never written, so they are never shown.
Loading is quick when nothing is wrong; the library that explains mistakes is imported only then.
"""

from detente.kernel.config.document import Document, Marks
from detente.kernel.config.errors import ConfigErrors, Located, Mistake
from detente.kernel.config.load import load, loads, read, section
from detente.kernel.config.schema import schema
from detente.kernel.config.values import (
    Address,
    Amount,
    Duration,
    Percent,
    Place,
    Secret,
    SecretMissing,
    Spelled,
    Url,
    Webhook,
    between,
    secrets_in,
)

__all__ = [
    "Address",
    "Amount",
    "ConfigErrors",
    "Document",
    "Duration",
    "Located",
    "Marks",
    "Mistake",
    "Percent",
    "Place",
    "Secret",
    "SecretMissing",
    "Spelled",
    "Url",
    "Webhook",
    "between",
    "load",
    "loads",
    "read",
    "schema",
    "secrets_in",
    "section",
]
