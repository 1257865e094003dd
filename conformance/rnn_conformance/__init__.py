"""Runs the golden cases through frameworks' own LSTM and GRU layers and reports what differs."""

__version__ = "0.1.0"
