"""The policy audit log: what the kernel refused, and why, as one line each.

    NFLOG -> frames -> folds -> judge, with the cluster as it was at that moment -> record -> outlets

Nothing here decides what passes, and nothing that passes waits for it.
"""
