"""Adapters: one module per framework, imported only in the worker process that runs it."""
