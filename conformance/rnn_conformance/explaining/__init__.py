"""What an implementation computes instead, what that takes, and scripts that show it."""
