"""From Kubernetes objects to values of `netpol.model`: what absent, null and empty mean is settled here.

`manifests.load` reads files; `documents` takes their bytes apart. All other files are
pure: they take one decoded JSON object, from wherever it came, and give its value and
what was wrong with it. Nothing here judges a connection.
"""
