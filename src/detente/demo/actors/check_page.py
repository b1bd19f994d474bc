"""Does a page answer? A plugin as Nagios knows them, for machines on which none is installed.

check_page -H HOST -p PORT        OK - HTTP 200 in 0.004 s | time=0.004s;;;0
"""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request
from time import monotonic

OK, CRITICAL = 0, 2


def main() -> int:
    """Ask once, say one line, and end with the code that Nagios gives it a meaning by."""
    asking = argparse.ArgumentParser(description=main.__doc__)
    asking.add_argument("-H", dest="host", required=True)
    asking.add_argument("-p", dest="port", type=int, required=True)
    asked = asking.parse_args()
    began = monotonic()
    try:
        with urllib.request.urlopen(f"http://{asked.host}:{asked.port}/", timeout=5) as answer:
            took = monotonic() - began
            sys.stdout.write(f"OK - HTTP {answer.status} in {took:.3f} s | time={took:.3f}s;;;0\n")
            return OK
    except (urllib.error.URLError, OSError) as error:
        sys.stdout.write(f"CRITICAL - {error}\n")
        return CRITICAL


if __name__ == "__main__":
    sys.exit(main())
