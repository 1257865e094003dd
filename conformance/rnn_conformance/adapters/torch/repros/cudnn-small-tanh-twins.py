"""The float32 LSTM that valid twins of refusals are, on cuDNN against itself in float64. Exit status 1 while they differ."""

import sys

import torch

if not torch.cuda.is_available():
    print("needs a CUDA device")
    sys.exit(0)
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
torch.manual_seed(1)
lstm, inputs = torch.nn.LSTM(3, 4, batch_first=True, device="cuda"), torch.randn(64, 5, 3, device="cuda")
with torch.no_grad():
    short, long = lstm(inputs)[0].double(), lstm.double()(inputs.double())[0]
error = ((short - long).abs() / long.abs().max()).max().item() * 2.0**24
print(
    f"outputs differ by up to {error:.1f} units of roundoff of the largest; see cudnn-small-tanh.py for the cause"
)
sys.exit(error > 8)
