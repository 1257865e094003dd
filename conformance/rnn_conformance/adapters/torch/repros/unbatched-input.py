"""torch.nn.LSTM takes a two-dimensional input as one unbatched sequence (documented). Exit status 1 while it does."""

import sys

import torch

try:
    output, _ = torch.nn.LSTM(2, 4, batch_first=True)(torch.ones(3, 2))
except (RuntimeError, ValueError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", tuple(output.shape))
sys.exit(1)
