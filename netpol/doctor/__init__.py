"""What a host lacks for each function of netpol, and what mends it.

`probe` and `trial` find out, changing nothing of the host's own network: rules and sets
are tried in a namespace that is gone afterwards. `diagnosis` judges what they found and
is pure, so that every host can be written down as a test.
"""
