"""The IPVS service proxy: a second controller on netpol's bus.

It takes from netpol the model, the dataplane writers and the ruleset values, and nothing
of the policy engine; netpol takes nothing from it. Its modules are not part of this
release; the package holds its place and the import contracts in setup.cfg keep it.
"""
