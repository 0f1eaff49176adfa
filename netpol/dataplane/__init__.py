"""The kernel's side: reading back what it holds, planning the difference, writing it.

`render`, `readback` and `plan` are pure. What is written goes through `ipset` and `conntrack`,
over `netlink`, and through `iptables`, by the tools; `addresses`, `bridges`, `variant`, `foreign`
and what begins with `nft_` or `legacy_` only look. `memory` is the kernel of the tests.
Nothing here knows a policy.
"""
