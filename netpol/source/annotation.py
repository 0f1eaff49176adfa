"""The namespace annotation that isolates pods for ingress (B1, B2)."""

from __future__ import annotations

import msgspec

from netpol.source.fields import shown

DEFAULT_DENY = "DefaultDeny"


class UnreadableAnnotation(ValueError):
    """The annotation's text does not say whether the namespace is isolated (B2)."""


def isolates(text: str) -> bool:
    """True where the annotation's value isolates the namespace (B1); UnreadableAnnotation where it says neither.

    Any other string, and nothing at all, mean the cluster's default, which is open.

    >>> isolates('{"ingress": {"isolation": "DefaultDeny"}}'), isolates('{"ingress": {"isolation": "defaultdeny"}}')
    (True, False)
    """
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise UnreadableAnnotation("is JSON nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableAnnotation(f"is no JSON: {error}") from None
    ingress = _member(value, "ingress", "the annotation")
    isolation = _member(ingress, "isolation", "ingress")
    if isolation is not None and not isinstance(isolation, str):
        raise UnreadableAnnotation(f"isolation must be a string, not {shown(isolation)}")
    return isolation == DEFAULT_DENY


def _member(value: object, key: str, name: str) -> object:
    """The member of an object; a null has none."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise UnreadableAnnotation(f"{name} must be a JSON object, not {shown(value)}")
    return value.get(key)
