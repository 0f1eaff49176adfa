"""How the agent tells how it is: metrics, health, logs, Kubernetes Events."""
