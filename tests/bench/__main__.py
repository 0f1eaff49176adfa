"""Prints every figure; status 1 where one misses its goal."""

import sys

from bench import once
from bench.manifests import Size

GOALS = {Size(100, 2_000, 200): 3.0, Size(100, 10_000, 5_000): 15.0}

met = [once.report(size, most_seconds) for size, most_seconds in GOALS.items()]
sys.exit(0 if all(met) else 1)
