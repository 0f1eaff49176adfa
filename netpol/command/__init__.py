"""One module per subcommand, each with `HELP`, `add_arguments(parser)` and `run(arguments) -> exit status`.

`arguments` holds the flags that several share. No module here parses YAML, knows a rule
of the semantics or talks to the kernel; errors are raised, and `netpol.cli` prints them.
"""
