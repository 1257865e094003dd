"""From what comes back to a verdict."""
