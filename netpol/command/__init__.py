"""One module per subcommand, each with `HELP`, `add_arguments(parser)` and `run(arguments) -> exit status`.

`arguments` and the modules named `*_arguments` hold flags, `switches` and `durations` their values, and `kube_router`
the flags that are taken without effect; `table` and `look` say how they print, and `story` is what the demo tells. No
module here parses YAML, knows a rule of the semantics or talks to the kernel; errors are raised, and `netpol.cli`
prints them.
"""
