from netpol.doctor.checks import Check, Function, State, firewall_can_run, state_of, stopping


def check(state: State, *functions: Function) -> Check:
    return Check("name", functions or (Function.FIREWALL_IPV4,), state, "found")


def test_a_function_is_as_good_as_the_worst_of_what_it_needs() -> None:
    checks = [check(State.WARNING), check(State.OK), check(State.MISSING, Function.DEMO)]
    assert state_of(Function.FIREWALL_IPV4, checks) is State.WARNING
    assert state_of(Function.DEMO, checks) is State.MISSING


def test_what_is_missing_outweighs_what_is_unknown() -> None:
    assert state_of(Function.FIREWALL_IPV4, [check(State.UNKNOWN), check(State.MISSING)]) is State.MISSING


def test_a_function_that_needs_nothing_is_fine() -> None:
    assert state_of(Function.AUDIT_LOG, [check(State.MISSING)]) is State.OK


def test_a_warning_does_not_stop_the_firewall() -> None:
    assert firewall_can_run([check(State.WARNING), check(State.OK)])


def test_what_is_missing_for_one_family_stops_the_firewall() -> None:
    lacking = check(State.MISSING, Function.NFT, Function.FIREWALL_IPV6)
    assert stopping([check(State.OK), lacking]) == (lacking,)
    assert not firewall_can_run([lacking])


def test_what_could_not_be_tried_stops_the_firewall() -> None:
    assert not firewall_can_run([check(State.UNKNOWN)])


def test_what_only_others_need_does_not_stop_the_firewall() -> None:
    assert firewall_can_run([check(State.MISSING, Function.SERVICE_PROXY), check(State.MISSING, Function.LEGACY)])
