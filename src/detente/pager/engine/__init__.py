"""Whose turn is it? Calendar arithmetic and nothing else."""
