"""Runs rnn-conformance's cases through ONNX Runtime with OpenVINO's plug-in execution provider."""
