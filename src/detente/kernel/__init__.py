"""What every slice stands on. Knows no slice."""
