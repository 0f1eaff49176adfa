# The agent's image: an interpreter, iptables in both variants, and netpol with its libraries.
# `make image` carries out these same steps without a container engine; it knows the instructions
# FROM, RUN, COPY, ENV, WORKDIR, LABEL and ENTRYPOINT.

FROM debian:bookworm-slim AS build
# python-iptables is only published as source, with a part in C.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/netpol
ENV PATH=/opt/netpol/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /src
# The libraries come first, with a netpol that has nothing but its version: a change of code leaves them where they are.
COPY pyproject.toml setup.cfg LICENSE ./
COPY netpol/__init__.py netpol/
# The Kubernetes client has an asynchronous twin of half its size, which is not used; neither is what only that needs.
# Compiled here, for root file systems that nobody may write to; by content, as times do not survive every copy.
RUN pip install --no-cache-dir --no-compile . \
 && rm -rf /opt/netpol/lib/python3*/site-packages/kubernetes/aio \
 && pip uninstall -y --quiet aiohttp aiohttp-retry aiohappyeyeballs aiosignal attrs frozenlist multidict propcache yarl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/netpol/lib
COPY netpol netpol
COPY proxy proxy
RUN pip install --no-cache-dir --no-compile --no-deps --force-reinstall . \
 && pip uninstall -y --quiet setuptools pip \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/netpol/lib/python3*/site-packages/netpol /opt/netpol/lib/python3*/site-packages/proxy

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="netpol" \
      org.opencontainers.image.description="Kubernetes network policies in the kernel of a node, with a reason for every verdict" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
 && apt-get install -y --no-install-recommends iptables python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf /var/cache/ldconfig /var/log/*
COPY --from=build /opt/netpol /opt/netpol
ENV PATH=/opt/netpol/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Root, because the kernel's rules belong to it. Flags without a command mean `run`.
ENTRYPOINT ["netpol"]
