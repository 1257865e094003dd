"""One SGD step moves the sum of torch.nn.LSTM's two biases twice as far as the gradient says. Exit status 1 while it does."""

import sys

import torch

torch.manual_seed(0)
lstm = torch.nn.LSTM(2, 3, batch_first=True, dtype=torch.float64)
before = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach()
optimizer = torch.optim.SGD(lstm.parameters(), lr=0.25)
output, _ = lstm(torch.ones(1, 4, 2, dtype=torch.float64))
output[:, -1].square().mean().backward()
gradient = (
    lstm.bias_ih_l0.grad.clone()
)  # with respect to the sum of the biases: the equations know only the sum
optimizer.step()
moved = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach() - before

expected = -0.25 * gradient  # FIT-3: w <- w - learning_rate * dL/dw for the one bias of the equations
print("moved / expected:", (moved / expected).tolist())
sys.exit(0 if torch.allclose(moved, expected) else 1)
