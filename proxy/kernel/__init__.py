"""The writers of what services need of the kernel, and fakes that keep the same contracts."""
