"""Values that the whole of netpol speaks in: labels, networks, ports, objects, a snapshot.

What an absent, a null and an empty field mean is settled before a value of this
package exists (`netpol.source`); here `None` always says "not restricted" and an empty
tuple always says "nothing". No I/O, no clock, no Kubernetes JSON.
"""
