"""torch.nn.LSTM starts with uniform weights within 1/sqrt(U), biases too. Exit status 1 while it does."""

import math
import sys

import torch

torch.manual_seed(1)
features, units = 96, 64
lstm = torch.nn.LSTM(features, units)
glorot = math.sqrt(6 / (features + 4 * units))  # INIT-1: the range of Keras's default
found = lstm.weight_ih_l0.detach().abs().max().item()
forget = (lstm.bias_ih_l0 + lstm.bias_hh_l0)[units : 2 * units].detach()
print(
    f"largest kernel weight {found:.4f} (1/sqrt(U) is {1 / math.sqrt(units):.4f}), glorot_uniform's limit {glorot:.4f}"
)
print("forget biases, expected ones:", forget[:4].tolist())
sys.exit(0 if abs(found - glorot) < 0.01 and bool((forget == 1).all()) else 1)
