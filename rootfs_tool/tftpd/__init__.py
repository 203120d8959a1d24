"""The TFTP server: one loop that many boards boot from at once."""
