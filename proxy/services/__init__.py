"""What services ask of this node, as values."""
