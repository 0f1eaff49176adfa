"""A kernel in memory: the three writers of `dataplane.kernel`, with the kernel's refusals.

It keeps the contract that tests/contract also holds the real kernel to. Production code
never imports it.
"""

from netpol.dataplane.memory.kernel import MemoryKernel

__all__ = ["MemoryKernel"]
