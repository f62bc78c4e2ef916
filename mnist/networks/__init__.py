"""Networks, what they are made to follow, and how they are improved."""
