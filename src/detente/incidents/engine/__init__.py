"""Machinery for telling and explaining what happened; it could live without Détente."""
