"""Adapters: one folder per framework, imported only in the process that runs it."""
