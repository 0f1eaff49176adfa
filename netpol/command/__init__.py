"""One module per subcommand, each with `HELP`, `add_arguments(parser)` and `run(arguments) -> exit status`.

`arguments`, `node_arguments`, `kernel_arguments` and `switches` hold the flags that several share, `table` and `look`
say how they print, and `story` is what the demo tells. No module here parses YAML, knows a rule of the semantics or
talks to the kernel; errors are raised, and `netpol.cli` prints them.
"""
