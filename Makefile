# Everything a person needs is `make demo`, `make cluster-demo` and `make test`: each does its own
# set-up, on Debian as root with apt, and the second call finds it done.

PYTHON ?= python3
LEVELS ?= lint arch type unit props kernel vm control_plane e2e vm_e2e

SHELL := /bin/bash
VENV := .venv
BIN := $(CURDIR)/.venv/bin
# Debian keeps iptables and ipset where a plain user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin
# Every level runs in the one environment made here; a plain `tox` would make one per level.
TOX := PATH="$(BIN):$$PATH" tox run -qq --current-env

.DEFAULT_GOAL := help
.PHONY: help demo cluster-demo test testbed upstream bench image clean packages testbed-packages

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: packages $(VENV)/.runs ## show the firewall at work: real namespaces, real packets (root)
	@$(BIN)/netpol demo

cluster-demo: testbed ## show the live agent in a real cluster of one node, step by step with kubectl (root)
	@PYTHONPATH=tests $(BIN)/python -m testbed.demo

test: packages $(VENV)/.tests ## run every level of tests; what is missing for one is said, and skipped
	@for level in $(LEVELS); do \
	    echo "== $$level"; \
	    $(TOX) -e $$level || { echo "== $$level failed"; exit 1; }; \
	done

testbed: packages testbed-packages $(VENV)/.tests ## build the API servers and the cluster that tests run against
	@PYTHONPATH=tests $(BIN)/python -m testbed

upstream: testbed ## run Kubernetes' own tests of network policies against the agent in a cluster (root)
	@PYTHONPATH=tests $(BIN)/python -m testbed.upstream $(UPSTREAM)

bench: packages $(VENV)/.tests ## measure, and print the figures by stage
	@PYTHONPATH=tests $(BIN)/python -m bench

image: packages $(VENV)/.tests ## make the container image by the Dockerfile's steps, without an engine (root)
	@PYTHONPATH=tests $(BIN)/python -m testbed.agent_image

clean: ## remove all that was made here
	rm -rf $(VENV) .testbed .tox build *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# need GROUP PACKAGE TEST: the package joins the group of what is missing, where the test fails.
NEED = need() { eval "$$3" >/dev/null 2>&1 || declare -g "$$1=$${!1} $$2"; }

# What stands in $$missing is installed where that can be done, and named where not.
define INSTALL
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "installing Debian packages:$$missing"; \
    log=$$(mktemp); \
    { apt-get update -qq && \
      DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
    } </dev/null >"$$log" 2>&1 || { cat "$$log"; rm -f "$$log"; exit 1; }; \
    rm -f "$$log"; \
else \
    echo "missing here:$$missing (Debian: as root, apt-get install$$missing)" >&2; \
    [ -z "$$builds" ]; \
fi
endef

# What building the environment needs stops the work where it is missing; what only the
# kernel's part needs does not: the demo and the kernel tests say it themselves.
packages:
	@builds= kernel=; $(NEED); \
	need builds python3      'command -v $(PYTHON)'; \
	need builds python3-venv '$(PYTHON) -c "import ensurepip, venv"'; \
	need builds python3-dev  '$(PYTHON) -c "import sysconfig; open(sysconfig.get_path(\"include\") + \"/Python.h\")"'; \
	need builds gcc          'command -v gcc'; \
	need builds libc6-dev    'gcc -E - <<< "#include <stdlib.h>"'; \
	need kernel iptables     'command -v iptables-nft-restore && command -v iptables-legacy-restore'; \
	need kernel ipset        'command -v ipset'; \
	need kernel conntrack    'command -v conntrack'; \
	need kernel iproute2     'command -v ip'; \
	need kernel kmod         'command -v modprobe'; \
	need kernel procps       'command -v sysctl'; \
	need kernel nftables     'command -v nft'; \
	need kernel netbase      'test -e /etc/protocols'; \
	need kernel user-mode-linux 'command -v linux.uml'; \
	need kernel busybox-static  'command -v busybox'; \
	need kernel ipvsadm      'command -v ipvsadm'; \
	missing=$$builds$$kernel; $(INSTALL)

# The control plane and the cluster; what is missing is no reason not to build, and the tests say it.
testbed-packages:
	@builds= bed=; $(NEED); \
	need bed etcd-server 'command -v etcd'; \
	need bed openssl 'command -v openssl'; \
	need bed ca-certificates 'test -e /etc/ssl/certs/ca-certificates.crt'; \
	need bed containerd 'command -v containerd'; \
	need bed runc 'command -v runc'; \
	need bed containernetworking-plugins 'test -e /usr/lib/cni/bridge'; \
	need bed busybox-static 'command -v busybox'; \
	need bed debootstrap 'command -v debootstrap'; \
	missing=$$bed; $(INSTALL)

$(BIN)/python: | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "netpol needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "making the Python environment $(VENV)"
	@[ -w . ] || { echo "this directory belongs to somebody else: clone one of your own" >&2; exit 1; }
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

$(VENV)/.runs: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing netpol in $(VENV)"
	@$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.tests: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing netpol and its tests' needs in $(VENV)"
	@$(BIN)/python -m pip install -q -e .[test]
	@touch $@ $(VENV)/.runs
