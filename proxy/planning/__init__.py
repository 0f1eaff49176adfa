"""What is to be done so that the kernel holds what services ask for."""
