"""A capability is called what the kernel calls it, and what is missing comes in the kernel's order."""

from netpol.doctor.host import Capability, without


def test_capabilities_have_the_numbers_of_the_kernel() -> None:
    assert {str(each): each.value for each in Capability} == {
        "CAP_NET_ADMIN": 12,
        "CAP_NET_RAW": 13,
        "CAP_SYS_ADMIN": 21,
    }


def test_what_is_missing_is_told_in_one_order() -> None:
    assert without({Capability.SYS_ADMIN, Capability.NET_ADMIN}) == "no CAP_NET_ADMIN, no CAP_SYS_ADMIN"
    assert without([Capability.NET_RAW]) == "no CAP_NET_RAW"
