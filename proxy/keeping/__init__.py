"""What is kept equal to what services ask for, a part of the kernel a file, and what is known of it without asking.

No part knows another: `proxy.programming` has the order in which they change.
"""
