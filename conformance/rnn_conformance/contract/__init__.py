"""What passes between the suite and an implementation: messages, tensors, and the server of adapters written in Python (``spec/protocol.md``)."""
