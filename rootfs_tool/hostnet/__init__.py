"""The host's side of a board: a TAP or a cable, its address, NAT and leases, and the way back."""
