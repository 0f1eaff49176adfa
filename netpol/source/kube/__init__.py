"""The API server as a source: one list and watch per kind, recorded in the bus.

`connection` sends requests, `watcher` keeps one kind up to date, `listing` reads every kind
once. `cursor`, `credibility`, `backoff` and `pages` are pure: they say what to ask next, what
to believe, how long to wait, and what bytes mean. Nothing here writes to the API but `post`.
"""
