"""What the scripts do, and what they share."""
