"""Where records go: each place has a queue, a thread and an account of its own, and nobody waits for any."""
