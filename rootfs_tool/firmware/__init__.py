"""What starts the kernel: the boot partition as a board's firmware wants it, and its rules."""
