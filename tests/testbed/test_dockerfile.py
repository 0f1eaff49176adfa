"""What is read of a Dockerfile, and that nothing of one is passed over."""

from __future__ import annotations

import pytest
from testbed.dockerfile import Copy, Entrypoint, Env, Label, NotUnderstood, Run, Stage, Workdir, parse

EXAMPLE = """\
# What it is for.
FROM debian:bookworm-slim AS build
RUN apt-get update \\
    # and then
 && true
COPY a b/c ./

FROM debian:bookworm-slim
LABEL title="two words" \\
      licence=none
ENV PATH=/x:/y HOME=/
WORKDIR /src
COPY --from=build /opt/x /opt/y
ENTRYPOINT ["x", "-y"]
"""


def test_stages_and_their_steps() -> None:
    assert parse(EXAMPLE) == (
        Stage("debian:bookworm-slim", "build", (Run("apt-get update && true"), Copy(("a", "b/c"), "./"))),
        Stage(
            "debian:bookworm-slim",
            None,
            (
                Label((("title", "two words"), ("licence", "none"))),
                Env((("PATH", "/x:/y"), ("HOME", "/"))),
                Workdir("/src"),
                Copy(("/opt/x",), "/opt/y", stage="build"),
                Entrypoint(("x", "-y")),
            ),
        ),
    )


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=cache,target=/x true",
        'RUN ["true"]',
        "COPY --chown=1 a b",
        "COPY a* b/",
        "COPY a",
        "ENV PATH=/x:$PATH",
        "ENV PATH /x",
        "WORKDIR src",
        "ENTRYPOINT netpol",
        "USER 1",
        "FROM --platform=linux/arm64 debian:bookworm-slim",
    ],
)
def test_what_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(f"FROM debian:bookworm-slim\n{line}\n")


def test_a_step_before_any_stage_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        parse("RUN true\n")
