"""The policy audit log: what the kernel refused, would have refused, or let pass by a rule, and why, a line for each.

    NFLOG -> frames -> folds -> judge, with the cluster as it was at that moment -> record -> outlets

Nothing here decides what passes, and nothing that passes waits for it.
"""
