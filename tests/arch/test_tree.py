"""The tree keeps to its rules, and a planted breach of each rule is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import tree

ROOT = Path(__file__).parents[2]

CHECKS = (
    tree.long_files,
    tree.long_functions,
    tree.names_without_a_noun,
    tree.modules_without_tests,
    tree.unmarked_tests,
    tree.initialised_test_folders,
    tree.machine_words,
    tree.unexplained_suppressions,
    tree.figures_without_a_command,
    tree.dead_links,
)

CODE = "def answer() -> int:\n    return 42\n"

# The suppressions and places are put together here, so that these lines are no breach themselves.
BREACHES = [
    (tree.long_files, {"netpol/long.py": "x = 1\n" * 401}, "netpol/long.py: 401 lines"),
    (
        tree.long_functions,
        {"proxy/long.py": "def long() -> None:\n" + "    pass\n" * 60},
        "proxy/long.py: long has 61 lines",
    ),
    (tree.names_without_a_noun, {"netpol/set_utils.py": ""}, "netpol/set_utils.py"),
    (tree.names_without_a_noun, {"netpol/common/sets.py": ""}, "netpol/common/sets.py"),
    (tree.modules_without_tests, {"netpol/a/b.py": CODE}, "netpol/a/b.py: no tests/netpol/a/test_b.py"),
    (tree.unmarked_tests, {"tests/kernel/test_x.py": CODE}, "tests/kernel/test_x.py"),
    (tree.unmarked_tests, {"tests/vm/test_x.py": "pytestmark = pytest.mark.vm_e2e\n"}, "tests/vm/test_x.py"),
    (tree.initialised_test_folders, {"tests/netpol/__init__.py": ""}, "tests/netpol/__init__.py"),
    (tree.machine_words, {"docs/a.md": "in /" + "home/me/netpol"}, "docs/a.md:1: in /" + "home/me/netpol"),
    (tree.machine_words, {"tox.ini": "\nhttps://pypi" + ".org/simple"}, "tox.ini:2: https://pypi" + ".org/simple"),
    (
        tree.unexplained_suppressions,
        {"netpol/a.py": "x = 1  # type" + ": ignore\n"},
        "netpol/a.py:1: x = 1  # type" + ": ignore",
    ),
    (
        tree.unexplained_suppressions,
        {"netpol/a.py": "x = 1  # no" + "qa: E501\n"},
        "netpol/a.py:1: x = 1  # no" + "qa: E501",
    ),
    (
        tree.figures_without_a_command,
        {"docs/a.md": "# A\n\n## Figures\n\nIt takes 3 ms.\n\n## Others\n\n`make bench`\n"},
        "docs/a.md: Figures",
    ),
    (tree.dead_links, {"README.md": "see [there](docs/gone.md#part)"}, "README.md: docs/gone.md"),
]

FINE = {
    "netpol/__init__.py": '"""A package."""\n',
    "netpol/values.py": "FIELD = 1\n",
    "netpol/promises.py": 'class P(Protocol):\n    def read(self) -> int:\n        """A number."""\n',
    "netpol/answers.py": CODE,
    "netpol/compile_.py": CODE,
    "netpol/base_chains.py": CODE,
    "netpol/database.py": "X = 1  # no" + "qa: E501  a URL\n",
    "tests/netpol/test_answers.py": CODE,
    "tests/netpol/test_compile.py": CODE,
    "tests/netpol/test_base_chains_of_ipv6.py": CODE,
    "tests/kernel/test_rules.py": "pytestmark = pytest.mark.kernel\n",
    "README.md": "see [docs](docs/a.md), [them](https://example.org/x) and [here](#here)",
    "docs/a.md": "# A\n\n## Rule budget\n\n3 rules: `tox -e unit`\n",
}


def planted(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree_keeps_to(check: tree.Check) -> None:
    assert check(ROOT) == []


@pytest.mark.parametrize(("check", "files", "found"), BREACHES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_breach_is_found(tmp_path: Path, check: tree.Check, files: dict[str, str], found: str) -> None:
    assert check(planted(tmp_path, files)) == [found]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_is_fine_is_no_breach(tmp_path: Path, check: tree.Check) -> None:
    assert check(planted(tmp_path, FINE)) == []


def test_every_check_has_a_planted_breach() -> None:
    assert {check for check, _, _ in BREACHES} == set(CHECKS)


def test_the_checks_look_at_the_whole_tree() -> None:
    seen = {str(path.relative_to(ROOT)) for path in tree.texts(ROOT)}
    assert {"Makefile", "README.md", ".ci/run", "netpol/cli.py", "tests/tree.py", "docs/semantics.md"} <= seen
    assert not any(path.endswith(".pyc") for path in seen)
