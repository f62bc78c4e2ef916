"""From a method to a trained run: the loop, and what it keeps on the disk."""
