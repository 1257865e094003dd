"""Running an implementation: its process, the requests that it is sent, and the model that stands for it on this side."""
