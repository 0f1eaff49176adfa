"""Suggested policies as a stream of YAML, with comments that say what each is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import yaml

from netpol.model.treatment import Enforcement
from netpol.suggest.needs import Need, rule_words
from netpol.suggest.proof import Suggestion
from netpol.suggest.suggestions import Suggestions

_PLAIN = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null|nan|inf)\Z)[A-Za-z][A-Za-z0-9]*(?:[-./][A-Za-z0-9]+)*", re.IGNORECASE
)
"""Texts that every reader of YAML takes for text.

Readers differ: `1e3` without quotes is a text in PyYAML, which would write it so, and a number in kubectl.
"""


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes every text that some reader could take for something else."""

    def ignore_aliases(self, _data: object) -> bool:
        """True: no object refers to a part of itself by an anchor."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _PLAIN.fullmatch(text) else '"')


_Dumper.add_representer(str, _text)


def policy_yaml(suggestions: Suggestions) -> str:
    """The stream: a document for each policy, then, as comments, what nothing is suggested for, and why."""
    lines: list[str] = []
    for suggestion in suggestions.suggested:
        document = yaml.dump(suggestion.document, Dumper=_Dumper, sort_keys=False, width=1000)
        lines += ["---", *_comments(_purpose(suggestion)), *document.splitlines()]
    if suggestions.left_out:
        left_out = (f"  {line} ({tally})" for line, tally in sorted(suggestions.left_out.items()))
        lines += _comments(("Nothing is suggested for:", *left_out))
    if not suggestions.suggested:
        lines += _comments(("There is no policy to add.",))
    return "".join(f"{line}\n" for line in lines)


def _purpose(suggestion: Suggestion) -> Iterator[str]:
    wish = suggestion.needs[0].wish
    yield f"{wish.direction.value} of {wish.subject}:"
    for line in sorted(map(_line, suggestion.needs)):
        yield f"  {line}"
    if suggestion.policy.enforcement is Enforcement.AUDIT:
        yield "Under audit, as what would isolate these pods is: it must be enforced when that is."


def _line(need: Need) -> str:
    wish = need.wish
    what = "every port, for what has none" if wish.port.port is None else str(wish.port)
    return f"{rule_words(wish.direction, str(wish.partner), what)}: {need.tally}"


def _comments(lines: Iterable[str]) -> list[str]:
    """The lines as comments; what a log holds can end none of them."""
    return [f"# {line.encode('unicode_escape').decode('ascii')}" for line in lines]
