"""`python -m lethe.node` is the command `lethe`."""

import sys

from .cli import main

sys.exit(main())
