"""`python -m testbed`: the programs of the test beds are built and up to date."""

from __future__ import annotations

import subprocess
import sys

from testbed import binaries, toolchain


def main() -> int:
    """0 where every program is there; otherwise what was missing or went wrong is said."""
    try:
        binaries.build(say=lambda line: print(line, flush=True))
    except (toolchain.NoGo, subprocess.CalledProcessError) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
