"""What was not understood in an object that still counts (M7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One part of one object that allows nothing, or is ignored, because of what it says."""

    kind: str
    namespace: str
    name: str
    field: str
    message: str

    def __str__(self) -> str:
        """
        >>> str(Notice("NetworkPolicy", "web", "allow", "spec.ingress[0].from[1]", "no known peer"))
        'NetworkPolicy web/allow: spec.ingress[0].from[1]: no known peer'
        """
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}: {self.field}: {self.message}"
