"""The audit log read back: its files, what is chosen of them, and what that comes to. Nothing here writes one."""
