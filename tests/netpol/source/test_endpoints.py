"""EndpointSlices of both APIs and Endpoints objects as one value, and what of them is passed over."""

from __future__ import annotations

import pytest
from builders import address

from netpol.model.ports import Protocol
from netpol.model.services import Endpoint, EndpointGroup, EndpointPort, EndpointSlice
from netpol.source.endpoints import decode_endpoint_slice, decode_endpoints, with_endpoints
from netpol.source.fields import Malformed

HTTP = {"name": "http", "port": 8080, "protocol": "TCP"}
HTTP_PORT = EndpointPort(Protocol.TCP, 8080, "http")
SERVICE = {"kubernetes.io/service-name": "web"}


def slice_of(*endpoints: object, labels: object = SERVICE, **others: object) -> dict[str, object]:
    """An EndpointSlice as the API has it."""
    metadata = {"namespace": "x", "name": "web-1", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": list(endpoints), "ports": [HTTP], **others}


def endpoints_of(*subsets: object, **metadata: object) -> dict[str, object]:
    """An Endpoints object as the API has it."""
    return {"metadata": {"namespace": "x", "name": "web", **metadata}, "subsets": list(subsets)}


def at(text: str, **others: object) -> dict[str, object]:
    return {"addresses": [text], **others}


def found_in(fields: dict[str, object]) -> tuple[Endpoint, ...]:
    """The endpoints of the slice, of which all is understood."""
    found, notices = decode_endpoint_slice(fields)
    assert notices == ()
    return found.groups[0].endpoints if found.groups else ()


def test_a_slice_in_full() -> None:
    first = at(
        "10.0.0.1",
        conditions={"ready": False, "serving": True, "terminating": True},
        nodeName="n1",
        zone="a",
        hints={"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "n1"}]},
        targetRef={"kind": "Pod", "name": "web-5d4f"},
    )
    ports = [HTTP, {"name": "", "port": 53, "protocol": "UDP", "appProtocol": "dns"}]
    assert decode_endpoint_slice(slice_of(first, at("10.0.0.2"), ports=ports)) == (
        EndpointSlice(
            "x",
            "web-1",
            "web",
            (
                EndpointGroup(
                    (
                        Endpoint(
                            address("10.0.0.1"), "n1", False, True, True, frozenset({"a", "b"}), frozenset({"n1"})
                        ),
                        Endpoint(address("10.0.0.2")),
                    ),
                    (HTTP_PORT, EndpointPort(Protocol.UDP, 53)),
                ),
            ),
        ),
        (),
    )


def test_a_slice_of_beta_has_its_nodes_elsewhere() -> None:
    topology = {"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "a"}
    assert found_in(slice_of(at("10.0.0.1", topology=topology))) == (Endpoint(address("10.0.0.1"), "n1"),)
    assert found_in(slice_of(at("10.0.0.1", topology=topology, nodeName="n2")))[0].node == "n2"
    assert found_in(slice_of(at("10.0.0.1", topology={"zone": "a"}, nodeName=None)))[0].node == ""


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, (True, True, False)),
        ({}, (True, True, False)),
        ({"ready": None, "serving": None, "terminating": None}, (True, True, False)),
        ({"ready": True}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": False, "serving": False, "terminating": True}, (False, False, True)),
        ({"serving": False}, (True, False, False)),
    ],
)
def test_what_is_unknown_of_a_state(conditions: object, expected: tuple[bool, bool, bool]) -> None:
    (found,) = found_in(slice_of(at("10.0.0.1", conditions=conditions)))
    assert (found.ready, found.serving, found.terminating) == expected


@pytest.mark.parametrize("hints", [None, {}, {"forZones": None, "forNodes": []}, {"forZones": [{"name": ""}]}])
def test_without_hints_everybody_may(hints: object) -> None:
    assert found_in(slice_of(at("10.0.0.1", hints=hints))) == (Endpoint(address("10.0.0.1")),)


def test_an_endpoint_is_at_its_first_address() -> None:
    assert found_in(slice_of({"addresses": ["10.0.0.1", "10.0.0.9"]})) == (Endpoint(address("10.0.0.1")),)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80}, (EndpointPort(Protocol.TCP, 80),)),
        ({"port": 80, "name": None, "protocol": None}, (EndpointPort(Protocol.TCP, 80),)),
        ({"name": "any", "port": None}, ()),
        ({"name": "any"}, ()),
        ({}, ()),
    ],
)
def test_a_port_without_a_number_is_passed_over(port: object, expected: tuple[EndpointPort, ...]) -> None:
    found, notices = decode_endpoint_slice(slice_of(at("10.0.0.1"), ports=[port]))
    assert (found.groups[0].ports, notices) == (expected, ())


@pytest.mark.parametrize(
    ("fields", "service"),
    [
        (slice_of({"addresses": ["db.example.org"]}, addressType="FQDN"), "web"),
        (slice_of(at("10.0.0.1"), labels={**SERVICE, "service.kubernetes.io/headless": ""}), "web"),
        (slice_of(at("10.0.0.1"), labels={"app": "web"}), ""),
        (slice_of(at("10.0.0.1"), labels=None), ""),
        (slice_of(), "web"),
        (slice_of(endpoints=None, ports=None), "web"),
    ],
)
def test_a_slice_that_no_proxy_sends_to_has_no_endpoints(fields: dict[str, object], service: str) -> None:
    assert decode_endpoint_slice(fields) == (EndpointSlice("x", "web-1", service), ())


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (at("web"), "endpoints[0].addresses[0]: 'web' is no IP address"),
        (at("::"), "endpoints[0].addresses[0]: '::' is the address of nothing"),
        ({"addresses": []}, "endpoints[0].addresses[0]: is missing"),
        ({}, "endpoints[0].addresses[0]: is missing"),
        (at("10.0.0.1", nodeName=5), "endpoints[0].nodeName: must be a string, not 5"),
        (at("10.0.0.1", conditions={"ready": 1}), "endpoints[0].conditions.ready: must be true or false, not 1"),
        (at("10.0.0.1", conditions=[]), "endpoints[0].conditions: must be a mapping, not a list"),
        (at("10.0.0.1", hints={"forZones": "a"}), "endpoints[0].hints.forZones: must be a list, not 'a'"),
        (at("10.0.0.1", topology=5), "endpoints[0].topology: must be a mapping, not 5"),
    ],
)
def test_an_endpoint_that_is_not_understood_is_told_and_the_others_serve(
    broken: dict[str, object], problem: str
) -> None:
    found, notices = decode_endpoint_slice(slice_of(broken, at("10.0.0.2")))
    assert [str(each) for each in notices] == [f"EndpointSlice x/web-1: {problem}"]
    assert found.groups[0].endpoints == (Endpoint(address("10.0.0.2")),)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"port": 70000}, "ports[0].port: must be a port from 1 to 65535, not 70000"),
        ({"port": 80, "protocol": "ICMP"}, "ports[0].protocol: 'ICMP' is no protocol of a port"),
        ({"port": 80, "name": 5}, "ports[0].name: must be a string, not 5"),
    ],
)
def test_a_port_that_is_not_understood_is_told_and_the_others_count(broken: object, problem: str) -> None:
    found, notices = decode_endpoint_slice(slice_of(at("10.0.0.1"), ports=[broken, HTTP]))
    assert [str(each) for each in notices] == [f"EndpointSlice x/web-1: {problem}"]
    assert found.groups[0].ports == (HTTP_PORT,)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "metadata.name: is missing"),
        (slice_of(labels=5), "metadata.labels: must be a mapping, not 5"),
        (
            slice_of(labels={"kubernetes.io/service-name": 5}),
            "metadata.labels[kubernetes.io/service-name]: must be a string, not 5",
        ),
        (slice_of(endpoints={}), "endpoints: must be a list, not a mapping"),
        (slice_of("10.0.0.1"), "endpoints[0]: must be a mapping, not '10.0.0.1'"),
        (slice_of(ports=[80]), "ports[0]: must be a mapping, not 80"),
    ],
)
def test_what_makes_a_slice_malformed(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(Malformed) as raised:
        decode_endpoint_slice(fields)
    assert [str(each) for each in raised.value.problems] == [problem]


# --- Endpoints objects


def test_an_endpoints_object_is_a_slice_with_a_group_for_each_subset() -> None:
    fields = endpoints_of(
        {
            "addresses": [{"ip": "10.0.0.1", "nodeName": "n1", "targetRef": {"kind": "Pod"}}],
            "notReadyAddresses": [{"ip": "10.0.0.2", "hostname": "b"}],
            "ports": [HTTP],
        },
        {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 9090}]},
        {"ports": [HTTP]},
    )
    assert decode_endpoints(fields) == (
        EndpointSlice(
            "x",
            "web",
            "web",
            (
                EndpointGroup(
                    (Endpoint(address("10.0.0.1"), "n1"), Endpoint(address("10.0.0.2"), ready=False, serving=False)),
                    (HTTP_PORT,),
                ),
                EndpointGroup((Endpoint(address("10.0.0.3")),), (EndpointPort(Protocol.TCP, 9090),)),
            ),
        ),
        (),
    )


@pytest.mark.parametrize(
    "fields",
    [
        endpoints_of(),
        {"metadata": {"namespace": "x", "name": "web"}, "subsets": None},
        endpoints_of({"addresses": [{"ip": "10.0.0.1"}]}, labels={"service.kubernetes.io/headless": ""}),
    ],
)
def test_an_endpoints_object_may_have_none(fields: dict[str, object]) -> None:
    assert decode_endpoints(fields) == (EndpointSlice("x", "web", "web"), ())


def test_what_of_a_subset_is_not_understood_is_told_and_the_rest_serves() -> None:
    fields = endpoints_of(
        {
            "addresses": [{"ip": "nonsense"}, {"ip": "10.0.0.1"}],
            "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": 5}],
            "ports": [{"port": 0}, HTTP],
        }
    )
    found, notices = decode_endpoints(fields)
    assert found.groups == (EndpointGroup((Endpoint(address("10.0.0.1")),), (HTTP_PORT,)),)
    assert [str(each) for each in notices] == [
        "EndpointSlice x/web: subsets[0].addresses[0].ip: 'nonsense' is no IP address",
        "EndpointSlice x/web: subsets[0].notReadyAddresses[0].nodeName: must be a string, not 5",
        "EndpointSlice x/web: subsets[0].ports[0].port: must be a port from 1 to 65535, not 0",
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"subsets": []}, "metadata.name: is missing"),
        ({"metadata": {"name": "web"}, "subsets": {}}, "subsets: must be a list, not a mapping"),
        (endpoints_of(5), "subsets[0]: must be a mapping, not 5"),
        (endpoints_of({"addresses": "10.0.0.1"}), "subsets[0].addresses: must be a list, not '10.0.0.1'"),
    ],
)
def test_what_makes_an_endpoints_object_malformed(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(Malformed) as raised:
        decode_endpoints(fields)
    assert [str(each) for each in raised.value.problems] == [problem]


# --- both


def test_slices_speak_for_their_service_and_endpoints_for_the_others() -> None:
    sliced = EndpointSlice("x", "web-1", "web")
    same, other = EndpointSlice("x", "web", "web"), EndpointSlice("x", "db", "db")
    elsewhere = EndpointSlice("y", "web", "web")
    assert with_endpoints(
        {("x", "web-1"): sliced}, {("x", "web"): same, ("x", "db"): other, ("y", "web"): elsewhere}
    ) == {("x", "web-1"): sliced, ("x", "db"): other, ("y", "web"): elsewhere}
    assert with_endpoints({}, {("x", "web"): same}) == {("x", "web"): same}


def test_a_slice_that_is_called_as_another_service_hides_nothing() -> None:
    sliced, others = EndpointSlice("x", "web", "db"), EndpointSlice("x", "web", "web")
    found = with_endpoints({("x", "web"): sliced}, {("x", "web"): others})
    assert found["x", "web"] == sliced
    assert sorted(found.values(), key=lambda each: each.service) == [sliced, others]
