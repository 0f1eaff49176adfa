"""The words of a rule as iptables-save writes them and iptables-restore reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

_BARE = re.compile(r"[-\w]+", re.ASCII)
_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\S)+')
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r"""(["'\\])""")

_FREE_TEXT = frozenset({"--comment", "--nflog-prefix", "--log-prefix"})
_TARGETS = frozenset({"-j", "--jump", "-g", "--goto"})


class Word(NamedTuple):
    """One word, its quotes taken off; a quoted word is never an option."""

    text: str
    quoted: bool = False


def quote(value: str) -> str:
    r"""`value` as iptables-save prints a text: bare where it has only letters, digits, `-` and `_`.

    >>> quote("web-1"), quote('to "db"')
    ('web-1', '"to \\"db\\""')
    """
    return value if _BARE.fullmatch(value) else '"' + _TO_ESCAPE.sub(r"\\\1", value) + '"'


def split(rule: str) -> tuple[Word, ...]:
    """The words of a rule; a quote that nothing closes is an ordinary character, so every text has words.

    >>> [word.text for word in split('-m comment --comment "a  b" -j DROP')]
    ['-m', 'comment', '--comment', 'a  b', '-j', 'DROP']
    """
    return tuple(Word(_unquote(raw), quoted=True) if _is_quoted(raw) else Word(raw) for raw in _WORD.findall(rule))


def respell(rule: str, spellings: Mapping[str, Callable[[str], str]]) -> str:
    """The rule with one space between words, no needless quotes, and the values of these options respelled.

    >>> respell('-p  6 -m comment --comment "one"', {"-p": {"6": "tcp"}.__getitem__})
    '-p tcp -m comment --comment one'
    """
    words: list[str] = _WORD.findall(rule)
    option = ""
    for index, word in enumerate(words):
        if _is_quoted(word):
            words[index] = quote(_unquote(word))
        elif spelling := spellings.get(option):
            words[index] = spelling(word)
        option = word
    return " ".join(words)


def _is_quoted(raw: str) -> bool:
    return raw[0] == '"' == raw[-1] and len(raw) > 1


def _unquote(raw: str) -> str:
    return _ESCAPED.sub(r"\1", raw[1:-1])


def destination(words: Sequence[Word]) -> str | None:
    """The target or chain that the rule jumps or goes to; None where it names none.

    What stands in a comment or a log prefix is passed over, even where it looks like an option.

    >>> destination(split("-m comment --comment -j -g NETPOL-INPUT"))
    'NETPOL-INPUT'
    """
    following = iter(words)
    for word in following:
        if word.quoted:
            continue
        if word.text in _FREE_TEXT:
            next(following, None)
        elif word.text in _TARGETS:
            named = next(following, None)
            return None if named is None else named.text
    return None
