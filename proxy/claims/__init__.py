"""Which service may have which address and port, where several ask for it."""
