"""What can end a command: each is one clear line for a person, and an exit status."""

from __future__ import annotations

from netpol.listing import first_lines

MOST_PROBLEMS = 50
"""A person mends the first problems first, and thousands of the same kind come from one mistake."""


class NetpolError(Exception):
    """The work failed; `str()` of it is the line a person reads."""

    exit_status = 1


class UsageError(NetpolError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_status = 2


class InputError(NetpolError):
    """Manifests could not be read; `problems` names each by file, document, line and field.

    A person reads the first of them, and how many more there are.
    """

    exit_status = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(first_lines(problems, MOST_PROBLEMS)))
        self.problems = tuple(problems)


class KernelRefusal(NetpolError):
    """The kernel, or a tool that talks to it, refused a read or a write; the line says which and why."""
