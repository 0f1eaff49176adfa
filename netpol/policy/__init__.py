"""What the policies of a snapshot mean, by the rules of docs/semantics.md.

`verdict` answers for one connection and says why; it shares nothing with the compiler
but the model, so that each can be the other's test.
"""
