"""Names of chains and sets: a prefix, a kind, and a digest of a delimited identity.

Chains may have 28 characters (iptables-nft refuses more), sets 31. A digest is never
taken of a plain concatenation, so that no two identities share a name.
"""

from __future__ import annotations

import base64
import hashlib
import re

PREFIX = "NETPOL-"

BASE_CHAINS = ("FORWARD", "INPUT", "OUTPUT", "INGRESS", "EGRESS", "MIDSTREAM", "UNKNOWN", "INVALID", "ICMPV6")
_OURS = re.compile(
    rf"NETPOL-(?:{'|'.join(BASE_CHAINS)}|[A-Z]{{1,3}}[46]?-[A-Z2-7]{{16}}|(?:ISO-IN|ISO-EG|UNKNOWN)-[46])"
)


def is_ours(name: str) -> bool:
    """True for every name this module can make, and for no other.

    >>> is_ours("NETPOL-FORWARD"), is_ours("NETPOL-mine")
    (True, False)
    """
    return _OURS.fullmatch(name) is not None


def digest(*identity: str) -> str:
    """Sixteen characters that stand for these words, in this order and number.

    >>> digest("a", "bc") == digest("ab", "c")
    False
    """
    delimited = b"".join(b"%d:%b" % (len(word.encode()), word.encode()) for word in identity)
    return base64.b32encode(hashlib.sha256(delimited).digest()[:10]).decode()
