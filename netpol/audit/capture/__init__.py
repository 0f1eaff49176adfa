"""From the packets that the kernel logs to folds of packets alike: every one counted, in a fold or as lost."""
