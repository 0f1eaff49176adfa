"""Directories and files: all objects of all documents, or every problem by file, document, line and field."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from builders import beta, namespace, node, pod, policy, rule, world

from netpol.errors import InputError
from netpol.settings import PolicyOptions
from netpol.source.manifests import Loaded, load

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: x, uid: uid-of-x-%s}\nstatus: {podIP: 10.0.0.%s}\n"


def loaded(path: Path, **files: str | bytes) -> Loaded:
    """What a directory with these files holds; two underscores in a name stand for the dot."""
    for name, text in files.items():
        content = text.encode() if isinstance(text, str) else text
        (path / name.replace("__", ".")).write_bytes(content)
    return load(path, PolicyOptions())


def problems(path: Path, **files: str | bytes) -> list[str]:
    with pytest.raises(InputError) as raised:
        loaded(path, **files)
    assert all("\n" not in problem for problem in raised.value.problems)
    return [problem.replace(f"{path}/", "") for problem in raised.value.problems]


def pod_yaml(name: str, last: int) -> str:
    return POD % (name, name, last)


def list_of(item: str) -> str:
    return f'{{"apiVersion": "v1", "kind": "List", "items": [{item}]}}'


def test_every_kind_from_every_form_of_file(tmp_path: Path) -> None:
    pod_list = {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "c", "namespace": "x", "uid": "uid-of-x-c"}, "status": {"podIP": "10.0.0.3"}}],
    }
    found = loaded(
        tmp_path,
        a__yaml="# pods\n---\n" + pod_yaml("a", 1) + "---\n---\n" + pod_yaml("b", 2),
        b__JSON=json.dumps(pod_list),
        c__Yml="""
apiVersion: v1
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: x}
- {apiVersion: v1, kind: Node, metadata: {name: n, creationTimestamp: 2026-01-01T00:00:00Z}}
kind: List
metadata: {resourceVersion: ""}
---
apiVersion: extensions/v1beta1
kind: NetworkPolicyList
items:
- metadata: {name: beta, namespace: x, uid: uid-of-x-beta}
  spec: {podSelector: {}, ingress: [{from: }]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
""",
        d__txt="not: [a manifest",
        e__json="",
        f__yaml="",
    )
    assert found.snapshot == world(
        pod("x/a", "10.0.0.1"),
        pod("x/b", "10.0.0.2"),
        pod("x/c", "10.0.0.3"),
        namespace("x"),
        node("n"),
        beta("x/beta", ingress=[rule()]),
    )
    assert (found.notices, found.warnings) == ((), ())


def test_a_single_file_and_not_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("broken: [")
    (tmp_path / "a.yaml").write_text(pod_yaml("a", 1))
    assert load(tmp_path / "a.yaml", PolicyOptions()).snapshot == world(pod("x/a", "10.0.0.1"))


def test_directories_below_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").mkdir()
    (tmp_path / "below.yaml" / "b.yaml").write_text("broken: [")
    assert loaded(tmp_path, a__yaml=pod_yaml("a", 1)).snapshot == world(pod("x/a", "10.0.0.1"))


def test_notices_and_warnings_are_handed_on(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        a__yaml="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, uid: uid-of-default-p}
spec: {ingress: [{form: []}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: q}
""",
    )
    assert found.snapshot == world(policy("default/p", ingress=[rule([], [])]))
    assert list(map(str, found.notices)) == [
        "NetworkPolicy default/p: spec.ingress[0].form: is no field known here",
    ]
    assert len(found.warnings) == 1


def test_all_problems_of_all_files_are_named_in_order(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        a__yaml="""\
apiVersion: v1
kind: Pod
metadata:
  name: a
  labels:
    tier: 5
spec:
  containers:
  - ports:
    - containerPort: 80
    - containerPort: 0
---
kind: Pod
metadata: {name: x
---
- 1
---
kind: Pod
""",
        b__json=list_of('{"apiVersion": "v1", "kind": "Pod",\n"metadata": {}}'),
        c__yaml=b"a: \xff",
        d__yaml="apiVersion: networking.k8s.io/v2\nkind: NetworkPolicy\nmetadata: {name: p}\n",
    )
    assert found == [
        "a.yaml:6: document 1: metadata.labels.tier: must be a string, not 5",
        "a.yaml:11: document 1: spec.containers[0].ports[1].containerPort: must be a port from 1 to 65535, not 0",
        "a.yaml:15: document 2: did not find expected ',' or '}'",
        "a.yaml:16: document 3: must be an object, not a list",
        "a.yaml:18: document 4: apiVersion: is missing",
        "b.json:2: document 1: items[0].metadata.name: is missing",
        "c.yaml:1: document 1: is no UTF-8",
        "d.yaml:1: document 1: apiVersion: there is no 'NetworkPolicy' in 'networking.k8s.io/v2'",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: Pod", "apiVersion: is missing"),
        ("apiVersion: v1", "kind: is missing"),
        ("{apiVersion: v1, kind: ''}", "kind: is missing"),
        ("{apiVersion: 1, kind: Pod}", "apiVersion: must be a string, not 1"),
        ("{apiVersion: v1, kind: [Pod]}", "kind: must be a string, not a list"),
        ("{apiVersion: v1, kind: Pod}", "metadata.name: is missing"),
        ("{apiVersion: v1, kind: pod}", "kind: there is no 'pod' in 'v1'"),
        ("just text", "must be an object, not 'just text'"),
        ("a: 1\na: 2", "has the key 'a' twice in one mapping"),
        ("{apiVersion: v1, kind: List, items: {}}", "items: must be a list, not a mapping"),
        ("{apiVersion: v1, kind: List, items: [null]}", "items[0]: must be an object, not null"),
        ("{apiVersion: v1, kind: List, items: [{metadata: {name: a}}]}", "items[0].apiVersion: is missing"),
        ("{apiVersion: v1, kind: PodList, items: [{kind: 5}]}", "items[0].kind: must be a string, not 5"),
        ("{kind: PodList, items: [{metadata: {name: a}}]}", "apiVersion: is missing"),
    ],
)
def test_what_is_no_object(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, a__yaml=text)[0].partition(": document 1: ")[2] == problem


def test_m7_a_key_that_stands_twice_widens_nothing_in_either_format(tmp_path: Path) -> None:
    policy_json = list_of(
        '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},\n'
        '"spec": {"ingress": [{"from": [{"podSelector": {}}],\n"from": []}]}}'
    )
    assert problems(tmp_path, a__json=policy_json, b__yaml=policy_json) == [
        "a.json:3: document 1: has the key 'from' twice in one mapping",
        "b.yaml:3: document 1: has the key 'from' twice in one mapping",
    ]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_numbers_that_nobody_reads_may_be_of_any_size(tmp_path: Path, suffix: str) -> None:
    item = f'{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "a", "n": {2**70}}}, "m": {"9" * 5000}}}'
    (tmp_path / f"a.{suffix}").write_text(list_of(item))
    assert list(loaded(tmp_path).snapshot.pods) == [("default", "a")]


def test_lists_may_be_empty_and_lie_in_lists(tmp_path: Path) -> None:
    inner = '{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}'
    found = loaded(
        tmp_path,
        a__json=list_of(inner),
        b__yaml="{apiVersion: v1, kind: PodList, items: }\n---\n{apiVersion: v1, kind: NodeList, items: []}",
    )
    assert list(found.snapshot.pods) == [("default", "a")]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_lists_in_lists_without_end_are_refused(tmp_path: Path, suffix: str) -> None:
    text = "{}"
    for _ in range(60):
        text = list_of(text)
    (tmp_path / f"a.{suffix}").write_text(text)
    [problem] = problems(tmp_path)
    assert problem.endswith("is a list in a list in a list, and so on too deeply")


def test_an_object_said_twice_with_different_words_is_refused_where_it_differs(tmp_path: Path) -> None:
    found = problems(
        tmp_path, a__yaml=pod_yaml("a", 1), b__yaml="---\n" + pod_yaml("a", 1) + "---\n" + pod_yaml("a", 2)
    )
    assert found == [
        "b.yaml:9: document 2: metadata.name: Pod x/a is also in a.yaml, document 1, and says something else there"
    ]


@pytest.mark.parametrize("files", [{}, {"notes__txt": "a: 1"}])
def test_a_directory_without_manifests_is_an_error(tmp_path: Path, files: dict[str, str]) -> None:
    [problem] = problems(tmp_path, **files)
    assert problem.endswith("holds no manifest: no file whose name ends in .yaml, .yml, .json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "---\n---\n",
        "{apiVersion: v1, kind: List, items: []}",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, items: []}",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}",
        "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web}}",
    ],
)
def test_manifests_without_an_object_of_a_kind_used_are_an_error(tmp_path: Path, text: str) -> None:
    [problem] = problems(tmp_path, a__yaml=text, b__yaml="", c__json="")
    assert problem == f"{tmp_path}: holds no Pod, Namespace, Node or NetworkPolicy"


def test_a_file_name_breaks_no_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb.yaml").write_text("kind: Pod\n---\n" + pod_yaml("a", 1))
    (tmp_path / "c\x1b.yaml").write_text(pod_yaml("a", 2))
    [first, second] = problems(tmp_path)
    assert first == "'a\\nb.yaml':1: document 1: apiVersion: is missing"
    assert second.startswith("'c\\x1b.yaml':3: document 1: metadata.name: Pod x/a is also in 'a\\nb.yaml', document 2")


def test_a_file_that_cannot_be_read_breaks_no_line_either(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path / "no\rwhere", PolicyOptions())
    assert str(raised.value) == f"'{tmp_path}/no\\rwhere': cannot be read: No such file or directory"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: cannot be read: No such file or directory"):
        load(tmp_path / "nowhere", PolicyOptions())
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("nowhere")
    assert problems(tmp_path) == [
        "a.yaml: cannot be read: is no regular file",
        "b.yaml: cannot be read: No such file or directory",
    ]


def test_an_unreadable_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    # As root, who runs these tests too, no directory is unreadable.
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        load(tmp_path, PolicyOptions())


def test_thousands_of_problems_in_one_list_are_located_in_one_pass(tmp_path: Path) -> None:
    items = "".join(f'- metadata: {{name: "p{number}", labels: {{a: 1}}}}\n' for number in range(2000))
    found = problems(tmp_path, a__yaml="apiVersion: v1\nkind: PodList\nitems:\n" + items)
    assert len(found) == 2000
    assert found[-1] == "a.yaml:2003: document 1: items[1999].metadata.labels.a: must be a string, not 1"
