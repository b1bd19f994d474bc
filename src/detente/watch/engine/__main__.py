"""`python -m detente.watch.engine`: the prober as a process of its own."""

import sys

from detente.watch.engine.process import main

sys.exit(main())
