"""The lines for iptables-restore that turn one state of our chains into another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netpol.compiler.ruleset import Hook
from netpol.dataplane.kernel import HookRule, KernelTable
from netpol.dataplane.render import RenderedTable
from netpol.dataplane.steps import WriteTable, changed_chains
from netpol.model.networks import Family


def write_table(family: Family, desired: RenderedTable, held: KernelTable) -> WriteTable | None:
    """The step that turns `held` into `desired`, with its way back; None where they are the same."""
    lines = tuple(_patch(desired, held))
    if not lines:
        return None
    before = _as_rendered(held)
    return WriteTable(family, lines, tuple(_patch(before, _as_held(desired, held.places))), before, desired)


def is_written(step: WriteTable, held: KernelTable) -> bool:
    """True where the table holds what the step writes, whatever others have changed around it meanwhile."""
    found = _as_rendered(held)
    return found.hooks == step.after.hooks and all(
        found.chains.get(name) == step.after.chains.get(name) for name in step.chains
    )


def _patch(desired: RenderedTable, held: KernelTable) -> Iterator[str]:
    """Only chains that differ, ours alone.

    `:NAME` creates a chain or empties it. A hook's rule is deleted by its text, never by
    its place, which another writer may have moved meanwhile.
    """
    changed = changed_chains(held.chains, desired.chains)
    yield from (f":{name} - [0:0]" for name in changed)
    for name in changed:
        yield from (f"-A {name} {rule}" for rule in desired.chains.get(name, ()))
    for hook in sorted({*desired.hooks, *held.hooks}, key=lambda hook: hook.value):
        wanted, present = desired.hooks.get(hook), held.hooks.get(hook, ())
        if [(rule.position, rule.text) for rule in present] != ([] if wanted is None else [(1, wanted)]):
            yield from (f"-D {hook.value} {rule.text}" for rule in present)
            if wanted is not None:
                yield f"-I {hook.value} {held.places.get(hook, 1)} {wanted}"
    yield from (f"-X {name}" for name in changed if name not in desired.chains)


def _as_rendered(held: KernelTable) -> RenderedTable:
    """A table as found, as something to go back to: its hooks' first rules of ours come first again."""
    return RenderedTable({hook: rules[0].text for hook, rules in held.hooks.items() if rules}, held.chains)


def _as_held(desired: RenderedTable, places: Mapping[Hook, int]) -> KernelTable:
    """A table as it stands once `desired` is applied."""
    hooks = {hook: (HookRule(1, text),) for hook, text in desired.hooks.items()}
    return KernelTable(hooks, desired.chains, places=places)
