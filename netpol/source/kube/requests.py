"""What is asked of the API server."""

from __future__ import annotations

from dataclasses import dataclass

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One read; `verb` and `resource` are what a role has to allow, in its own words."""

    verb: str
    resource: str
    path: str
    query: Query = ()
