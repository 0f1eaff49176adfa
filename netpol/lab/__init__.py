"""A cluster of network namespaces: nodes, pods and hosts outside, and packets sent between them.

Nothing here knows a policy or a rule. Every namespace is nameless and held by this
process alone, so whatever way the process ends, nothing of a lab stays behind, and the
namespace the process was started in is never written.
"""
