"""An adapter in thirty lines: loops over ``torch.nn.LSTMCell`` and ``GRUCell``. rnn-conformance run --adapter torch_cells.py:TorchCells"""

import torch
from rnn_conformance.contract.adapter import Adapter, Description, framework
from rnn_conformance.contract.capabilities import Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel


class Cells(LengthsModel):
    def __init__(self, spec):
        cell = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}[spec.layer]
        with framework():
            self.cell = cell(spec.size.F, spec.units, bias=spec.arguments["use_bias"])

    def set_weights(self, weights):
        own = {name.removesuffix("_l0"): torch.tensor(array.copy()) for name, array in weights.items()}
        with framework():
            self.cell.load_state_dict(own)

    def run(self, inputs, lengths, states):
        count, outputs = 1 + isinstance(self.cell, torch.nn.LSTMCell), []
        zero = torch.zeros(len(inputs), self.cell.hidden_size)
        state = [zero] * count if states is None else [torch.tensor(s) for s in states]
        with framework(), torch.inference_mode():
            for step in torch.tensor(inputs).unbind(1):
                found = self.cell(step, tuple(state) if count == 2 else state[0])
                state = list(found) if count == 2 else [found]
                outputs.append(state[0])
            return torch.stack(outputs, 1).numpy(), [s.numpy() for s in state]


class TorchCells(Adapter):
    level, layout = "lengths", "torch"
    capabilities = Capabilities(
        arguments={"use_bias": [True, False], "reset_after": [True]}, calls=["initial_state"]
    )

    def describe(self):
        return Description("torch cells", torch.__version__, ["cpu"], {"float32": None})

    def build(self, spec):
        return Cells(spec)
