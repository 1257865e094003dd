"""Runs rnn-conformance's cases through OpenVINO."""
