"""What does a toggle answer, here and now? Rules compiled once, asked in the program itself.

Imports nothing of its slice, so that it could live without Détente.
"""
