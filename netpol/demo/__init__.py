"""Manifests carried out: a cluster of namespaces, the agent on every node, and packets from every pod to every other.

What the packets did is set beside what the oracle says of the same manifests. Nothing
here prints; `netpol.command.story` tells the story.
"""
