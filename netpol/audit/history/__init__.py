"""The cluster as the kernel held it at every moment of the last minutes; pure, and told by whoever writes there."""
