"""What is in an image: its partitions, their file systems, and the files in those."""
