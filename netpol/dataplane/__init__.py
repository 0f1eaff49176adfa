"""The kernel's side: reading back what it holds, planning the difference, writing it.

`render`, `readback` and `plan` are pure; `netlink`, `ipset`, `iptables` and `conntrack`
are the only files that talk to the kernel, and `memory` is the kernel of the tests.
Nothing here knows a policy.
"""
