"""What has become of one thing."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

Thing = TypeVar("Thing")


class Change(NamedTuple, Generic[Thing]):
    """A thing as it was known and as it is; None where there is none. Both have the same name."""

    before: Thing | None
    after: Thing | None
