"""From what was refused to the smallest policies that would allow it, each proved by the oracle; nothing is applied."""
