"""netpol: a Kubernetes network-policy firewall for one node.

Data flows one way: source -> compiler -> control -> dataplane -> kernel; `command`
leads it. The packages `model`, `policy` and `compiler` are pure: no I/O, no clock, no logging.
"""

__version__ = "0.1.0"
