import pytest

from netpol.errors import InputError, KernelRefusal, NetpolError, UsageError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NetpolError("the work failed"), 1),
        (KernelRefusal("no such table"), 1),
        (UsageError("no such flag"), 2),
        (InputError(["a.yaml:1: wrong"]), 2),
    ],
)
def test_every_error_has_its_exit_status(error: NetpolError, status: int) -> None:
    assert error.exit_status == status


def test_an_error_of_the_input_has_a_line_for_each_problem() -> None:
    error = InputError(["a.yaml:1: wrong", "b.yaml:2: wrong too"])
    assert str(error).splitlines() == list(error.problems) == ["a.yaml:1: wrong", "b.yaml:2: wrong too"]
