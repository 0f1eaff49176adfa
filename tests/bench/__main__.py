"""Prints every figure, or those of the parts named (see PARTS); status 1 where a goal is missed."""

import sys

from bench import audit, flood, live, once, services
from bench.manifests import Size

ONCE_SECONDS = {Size(100, 2_000, 200): 3.0, Size(100, 10_000, 5_000): 15.0}
WORLDS = (Size(100, 2_000, 200), Size(100, 5_000, 1_000), Size(100, 10_000, 5_000))
PARTS = ("once", "live", "stages", "audit", "flood", "services")

wanted = sys.argv[1:] or PARTS
if unknown := set(wanted) - set(PARTS):
    sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
met = [once.report(size, most_seconds) for size, most_seconds in ONCE_SECONDS.items() if "once" in wanted]
met += [live.report(size) for size in WORLDS if "live" in wanted]
if "audit" in wanted:
    met.append(audit.report())
if "flood" in wanted:
    met.append(flood.report(WORLDS[0]))
if "services" in wanted:
    met.append(services.report())
if "stages" in wanted:
    live.report_stages(WORLDS[-1])
sys.exit(0 if all(met) else 1)
