"""What the annotations of a Service ask for, read one by one."""

from __future__ import annotations

from netpol.model.service_annotations import ServiceAnnotation
from netpol.model.services import SchedulerFlag
from netpol.source.fields import FieldPath, Fields, Reading, shown

ANNOTATIONS: FieldPath = ("metadata", "annotations")

_OFF = frozenset({"false", "no", "0"})
_FLAGS_BY_WORD = {
    **{flag.value: flag for flag in SchedulerFlag},
    "sh-fallback": SchedulerFlag.FIRST,
    "sh-port": SchedulerFlag.SECOND,
    "mh-fallback": SchedulerFlag.FIRST,
    "mh-port": SchedulerFlag.SECOND,
}
_TUNNEL = "tunnel"


def is_on(annotations: Fields, asked: ServiceAnnotation, reading: Reading) -> bool:
    """True where the annotation is there, unless it says `false`, `no` or `0`.

    kube-router asks for no more than its presence.
    """
    is_there = isinstance(annotations.get(asked.value), str)
    return _text(annotations, asked, reading).strip().lower() not in _OFF and is_there


def read_scheduler(annotations: Fields, reading: Reading) -> str:
    """The scheduler as it is written: which there are, the kernel knows."""
    return _text(annotations, ServiceAnnotation.SCHEDULER, reading)


def read_flags(annotations: Fields, reading: Reading) -> frozenset[SchedulerFlag]:
    """What the scheduler is told beside; a word that is not known is a problem, and the others count."""
    asked = ServiceAnnotation.SCHEDULER_FLAGS
    words = [word.strip() for word in _text(annotations, asked, reading).split(",")]
    unknown = [word for word in words if word and word not in _FLAGS_BY_WORD]
    for word in unknown:
        reading.wrong((*ANNOTATIONS, asked.value), f"{shown(word)} is no flag; they are {', '.join(_FLAGS_BY_WORD)}")
    return frozenset(_FLAGS_BY_WORD[word] for word in words if word in _FLAGS_BY_WORD)


def read_direct_return(annotations: Fields, reading: Reading) -> bool:
    """True where endpoints are to answer clients directly; another method than a tunnel is a problem, and none."""
    asked = ServiceAnnotation.DIRECT_RETURN
    method = _text(annotations, asked, reading)
    if method and method != _TUNNEL:
        reading.wrong((*ANNOTATIONS, asked.value), f"must be {_TUNNEL}, not {shown(method)}; there is no direct return")
    return method == _TUNNEL


def _text(annotations: Fields, asked: ServiceAnnotation, reading: Reading) -> str:
    return reading.text(annotations, ANNOTATIONS, asked.value)
