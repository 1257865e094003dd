"""cuDNN's kernel for small LSTMs computes tanh in float32 with an error of many units of roundoff. Exit status 1 while it does."""

import sys

import numpy as np
import torch

if not torch.cuda.is_available():
    print("needs a CUDA device")
    sys.exit(0)
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
x = np.linspace(-1, 1, 4096, dtype=np.float32)
inputs = torch.from_numpy(x).cuda()[:, None, None]  # [B, 1, 1]
lstm = torch.nn.LSTM(1, 4, batch_first=True, device="cuda")
with torch.no_grad():
    for parameter in lstm.parameters():
        parameter.zero_()
    lstm.bias_ih_l0[:4] = 100  # the input gate is 1: the state is tanh of the candidate, which is the input
    lstm.weight_ih_l0[8:12] = 1
    rows = torch.nn.utils.rnn.pack_padded_sequence(inputs, torch.ones(len(x)), batch_first=True)
    states = {"padded": lstm(inputs)[1][1], "packed": lstm(rows)[1][1]}
expected = np.tanh(x.astype(np.float64))
for name, state in states.items():
    error = np.abs(state[0, :, 0].double().cpu().numpy() / expected - 1) * 2.0**24
    print(f"{name}: the relative error of tanh is up to {error.max():.1f} units of roundoff")
    if name == "padded":
        status = int(error.max() > 8)
sys.exit(status)
