"""`python -m netpol` is the `netpol` command."""

import sys

from netpol.cli import main

sys.exit(main())
