"""Reference LSTM and GRU: the executable form of the specification. NumPy is the only import."""

from rnn_reference.layers import GRU, LSTM

__all__ = ["GRU", "LSTM"]
