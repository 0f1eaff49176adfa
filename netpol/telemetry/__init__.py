"""How the agent tells how it is: metrics, health, logs, Kubernetes Events.

Nothing here can stop the agent or hold it up: what cannot be told is counted, or lost.
"""
