"""Runs rnn-conformance's cases through ncnn."""
