"""pack_padded_sequence with fewer lengths than rows drops rows. Exit status 1 while it does."""

import sys

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

try:
    packed = pack_padded_sequence(
        torch.ones(3, 5, 2), torch.tensor([1, 5]), batch_first=True, enforce_sorted=False
    )
except (RuntimeError, ValueError) as error:
    print("refused:", error)
    sys.exit(0)
print("accepted: of 3 rows", pad_packed_sequence(packed, batch_first=True)[0].shape[0], "are left")
sys.exit(1)
