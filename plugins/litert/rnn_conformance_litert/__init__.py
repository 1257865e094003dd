"""Runs rnn-conformance's cases through LiteRT."""
