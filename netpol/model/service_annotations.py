"""The annotations that say how a service is served, under kube-router's names."""

from __future__ import annotations

import enum


class ServiceAnnotation(enum.Enum):
    """What a person can ask of a service proxy for one service; the values are the annotations' keys."""

    SCHEDULER = "kube-router.io/service.scheduler"
    """How connections are given to endpoints: a scheduler of IPVS."""
    SCHEDULER_FLAGS = "kube-router.io/service.schedflags"
    """What the scheduler does otherwise."""
    LOCAL = "kube-router.io/service.local"
    """Only endpoints of the node that traffic came to, whatever the traffic policies say."""
    HAIRPIN = "kube-router.io/service.hairpin"
    """Pods behind the service may reach themselves through it."""
    DIRECT_RETURN = "kube-router.io/service.dsr"
    """Endpoints answer clients directly."""
    SKIP_LOAD_BALANCER = "kube-router.io/service.skiplbips"
    """The load balancer's addresses are not served."""

    @property
    def field(self) -> str:
        """Where it stands in a Service, as notices name fields.

        >>> ServiceAnnotation.SCHEDULER.field
        'metadata.annotations[kube-router.io/service.scheduler]'
        """
        return f"metadata.annotations[{self.value}]"
