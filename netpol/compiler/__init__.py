"""From a snapshot to the sets and rules one node needs, as values.

`compile.compile_ruleset(snapshot, node)` depends on the present state only. Nothing here
knows a kernel, a tool or a text format; `netpol.dataplane` does.
"""
