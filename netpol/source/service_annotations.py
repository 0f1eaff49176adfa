"""The annotations that say how a service is served, under kube-router's names."""

from __future__ import annotations

from netpol.model.services import SchedulerFlag
from netpol.source.fields import FieldPath, Fields, Reading, shown

ANNOTATIONS: FieldPath = ("metadata", "annotations")

_PREFIX = "kube-router.io/service."
LOCAL_ANNOTATION = f"{_PREFIX}local"
HAIRPIN_ANNOTATION = f"{_PREFIX}hairpin"
SKIP_ANNOTATION = f"{_PREFIX}skiplbips"
_SCHEDULER = f"{_PREFIX}scheduler"
_FLAGS = f"{_PREFIX}schedflags"
_DIRECT_RETURN = f"{_PREFIX}dsr"

_OFF = frozenset({"false", "no", "0"})
_FLAGS_BY_WORD = {
    **{flag.value: flag for flag in SchedulerFlag},
    "sh-fallback": SchedulerFlag.FIRST,
    "sh-port": SchedulerFlag.SECOND,
    "mh-fallback": SchedulerFlag.FIRST,
    "mh-port": SchedulerFlag.SECOND,
}
_TUNNEL = "tunnel"


def is_on(annotations: Fields, name: str, reading: Reading) -> bool:
    """True where the annotation is there, unless it says `false`, `no` or `0`.

    kube-router asks for no more than its presence.
    """
    is_there = isinstance(annotations.get(name), str)
    return _text(annotations, name, reading).strip().lower() not in _OFF and is_there


def read_scheduler(annotations: Fields, reading: Reading) -> str:
    """The scheduler as it is written: which there are, the kernel knows."""
    return _text(annotations, _SCHEDULER, reading)


def read_flags(annotations: Fields, reading: Reading) -> frozenset[SchedulerFlag]:
    """What the scheduler is told beside; a word that is not known is a problem, and the others count."""
    words = [word.strip() for word in _text(annotations, _FLAGS, reading).split(",")]
    unknown = [word for word in words if word and word not in _FLAGS_BY_WORD]
    for word in unknown:
        reading.wrong((*ANNOTATIONS, _FLAGS), f"{shown(word)} is no flag; they are {', '.join(_FLAGS_BY_WORD)}")
    return frozenset(_FLAGS_BY_WORD[word] for word in words if word in _FLAGS_BY_WORD)


def read_direct_return(annotations: Fields, reading: Reading) -> bool:
    """True where endpoints are to answer clients directly; a way that is not known is a problem, and none."""
    way = _text(annotations, _DIRECT_RETURN, reading)
    if way and way != _TUNNEL:
        reading.wrong((*ANNOTATIONS, _DIRECT_RETURN), f"must be {_TUNNEL}, not {shown(way)}; there is no direct return")
    return way == _TUNNEL


def _text(annotations: Fields, name: str, reading: Reading) -> str:
    return reading.text(annotations, ANNOTATIONS, name)
