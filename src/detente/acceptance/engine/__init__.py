"""Tests that know who they are, and the process that runs them: pytest with a memory."""
