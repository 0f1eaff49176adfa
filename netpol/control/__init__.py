"""From what should be to what is: programs a node's kernel and takes everything away again.

Controllers decide when to act and what to say about it; they hold no policy and no kernel format.
"""
