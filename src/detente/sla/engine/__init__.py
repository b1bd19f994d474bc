"""The arithmetic of time: sets of moments, and the periods of a calendar."""
