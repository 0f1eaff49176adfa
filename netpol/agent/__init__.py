"""The composition root of the live agent: makes everything once, starts it, and stops it in order.

source threads -> bus -> firewall's thread -> kernel -> audit thread -> outlets' threads
                      -> service proxy's thread -> kernel
                         ^ alarms of whoever else writes there
the main thread waits for a signal, or for the end of either
"""
