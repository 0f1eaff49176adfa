"""What the tree keeps to, beyond what linters know: each check lists its breaches below a root, one line each."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

Check = Callable[[Path], list[str]]

LONGEST_FILE, LONGEST_FUNCTION = 400, 60
NO_NOUNS = re.compile(r"(?:^|_)(?:util|helper|common|base|manager|handler|info|data|process|misc)s?$")
PACKAGES = ("netpol", "proxy")
MARKED_FOLDERS = ("kernel", "vm", "vm_e2e", "control_plane", "e2e")
"""The folders in tests/ whose tests need more than Python: each is a level of its own."""

# A machine's own directories, and the hosts packages come from; written so that this file is no breach of itself.
_PLACES = re.compile(
    r"(?<![\w.$)}-])/(?:work|root|home|Users)/|pypi[.]org|pythonhosted[.]org|(?:deb|security)[.]debian[.]org"
)
_SUPPRESSION = re.compile(
    r"#\s*(?P<kind>type:\s*ignore|noqa\b(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*(?P<reason>\s+\S)?)?)"
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)")
_FLAG = re.compile(r"`(?:-\w, )?(?P<flag>--[a-z0-9][a-z0-9-]*)")
_COMMAND_SECTION = re.compile(r"^## `netpol (?P<command>[a-z ]+)`$(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_FIGURES_SECTION = re.compile(
    r"^#+ (?P<heading>[^\n]*\b(?:[Ff]igures|[Bb]udget|[Mm]easured)\b[^\n]*)$(?P<text>.*?)(?=^#|\Z)",
    re.MULTILINE | re.DOTALL,
)
_REPRODUCED = re.compile(r"`(?:make|tox -e|python -m|netpol) ?[a-z]")


def sources(root: Path, *folders: str) -> Iterator[Path]:
    """The Python files in these folders, sorted."""
    for folder in folders:
        yield from sorted(path for path in (root / folder).rglob("*.py"))


def texts(root: Path) -> Iterator[Path]:
    """Every file that a person wrote and git keeps, the licence's own words aside."""
    folders = (*PACKAGES, "tests", "docs", "manifests", ".ci")
    inside = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    beside = (path for path in root.iterdir() if path.is_file() and path.name not in ("LICENSE", ".coverage", ".git"))
    yield from sorted(path for path in (*inside, *beside) if "__pycache__" not in path.parts)


def long_files(root: Path) -> list[str]:
    """Files of over 400 lines."""
    counted = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in sources(root, *PACKAGES, "tests"))
    return [f"{path.relative_to(root)}: {lines} lines" for path, lines in counted if lines > LONGEST_FILE]


def long_functions(root: Path) -> list[str]:
    """Functions of over 60 lines."""
    return [
        f"{path.relative_to(root)}: {function.name} has {length} lines"
        for path in sources(root, *PACKAGES, "tests")
        for function in _functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]


def names_without_a_noun(root: Path) -> list[str]:
    """Files and folders whose names say nothing of what is in them."""
    return [
        str(path.relative_to(root))
        for path in sources(root, *PACKAGES, "tests")
        if any(NO_NOUNS.search(part) for part in path.relative_to(root).with_suffix("").parts)
    ]


def modules_without_tests(root: Path) -> list[str]:
    """Modules with code of their own and no test file in the same place below tests/.

    The fields of a value are no code, and neither are the methods of a protocol.
    """
    return [
        f"{module.relative_to(root)}: no {(place / name).relative_to(root)}.py"
        for module in sources(root, *PACKAGES)
        if any(map(_does_something, _functions(module)))
        for place, name in [(root / "tests" / module.relative_to(root).parent, f"test_{module.stem.strip('_')}")]
        if not any(path.stem == name or path.stem.startswith(f"{name}_") for path in place.glob("test_*.py"))
    ]


def unmarked_tests(root: Path) -> list[str]:
    """Files in the folder of a level that another level would run too: the mark is the folder's name."""
    return [
        str(path.relative_to(root))
        for folder in MARKED_FOLDERS
        for path in sources(root, f"tests/{folder}")
        if path.name.startswith("test_") and not _has_mark(path, folder)
    ]


def initialised_test_folders(root: Path) -> list[str]:
    """Packages in tests/: importlib mode needs none, and with them two modules could share a name."""
    return [str(path.relative_to(root)) for path in sources(root, "tests") if path.name == "__init__.py"]


def machine_words(root: Path) -> list[str]:
    """Lines that name a directory of one machine, or a registry's host."""
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in texts(root)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if _PLACES.search(line)
    ]


def unexplained_suppressions(root: Path) -> list[str]:
    """Ignored type errors, and linters silenced without a code or a reason."""
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in sources(root, *PACKAGES, "tests")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := _SUPPRESSION.search(line)) and (found["kind"].startswith("type") or not found["reason"])
    ]


def undocumented_flags(parser: argparse.ArgumentParser, page: str) -> list[str]:
    """Commands without a section on the page, and flags that their command's section does not name."""
    sections = {found["command"]: found["text"] for found in _COMMAND_SECTION.finditer(page)}
    problems = []
    for command, flags in flags_by_command(parser).items():
        if command not in sections:
            problems.append(f"netpol {command}: no section")
        else:
            named = set(_FLAG.findall(sections[command]))
            problems += [f"netpol {command} {flag}: not described" for flag in sorted(flags - named)]
    return problems


def flags_that_are_gone(parser: argparse.ArgumentParser, page: str) -> list[str]:
    """Flags that the page's tables describe and the command does not have; a table's first cell is the flag."""
    flags = flags_by_command(parser)
    return [
        f"netpol {section['command']} {flag}: no such flag"
        for section in _COMMAND_SECTION.finditer(page)
        for row in section["text"].splitlines()
        if row.startswith("| `-")
        for flag in _FLAG.findall(row.split("|")[1])
        if flag not in flags.get(section["command"], set())
    ]


def flags_by_command(parser: argparse.ArgumentParser) -> dict[str, set[str]]:
    """The long flags of each command, --help aside; subcommands are commands of two words."""
    subparsers = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found = {}
    for name, command in ((name, command) for action in subparsers for name, command in action.choices.items()):
        flags = {flag for action in command._actions for flag in action.option_strings if flag.startswith("--")}
        found[name] = flags - {"--help"}
        found |= {f"{name} {below}": flags for below, flags in flags_by_command(command).items()}
    return found


def figures_without_a_command(root: Path) -> list[str]:
    """Sections of figures, in the docs and the README, that name no command to reproduce them."""
    return [
        f"{path.relative_to(root)}: {section['heading']}"
        for path in _pages(root)
        for section in _FIGURES_SECTION.finditer(path.read_text(encoding="utf-8"))
        if not _REPRODUCED.search(section["text"])
    ]


def dead_links(root: Path) -> list[str]:
    """Links between pages, and from pages to files, that lead nowhere."""
    return [
        f"{path.relative_to(root)}: {link['path']}"
        for path in _pages(root)
        for link in _LINK.finditer(path.read_text(encoding="utf-8"))
        if not (path.parent / link["path"]).exists()
    ]


def _pages(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *(root / "docs").glob("*.md")])


def _has_mark(path: Path, mark: str) -> bool:
    return re.search(rf"^pytestmark = .*\bmark\.{mark}\b", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _does_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return not all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) for statement in function.body
    )
