"""Détente: one timeline for development and operations."""

__version__ = "0.1.0"
