"""PyTorch: ``torch.nn.LSTM`` and ``torch.nn.GRU``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from rnn_reference import layouts
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    LayerSpec,
    Script,
    framework,
    require,
)
from rnn_conformance.contract.capabilities import ANY, MERGE_MODES, Capabilities
from rnn_conformance.contract.lengths_model import LengthsModel, Lesson, Outputs, Pulled

torch.set_num_threads(1)
torch.backends.cudnn.deterministic = True


class TorchAdapter(Adapter):
    """``torch.nn`` layers, without gradients where nobody asks for them."""

    level, layout = "lengths", "torch"
    settings: Mapping[str, Sequence[str]] = {
        "tf32": ("off", "on"),
        "cudnn": ("on", "off"),
        "onednn": ("on", "off"),
        "reduced_precision_reduction": ("on", "off"),  # of products in float16 and bfloat16 on CUDA
    }
    capabilities = Capabilities(
        arguments={
            "use_bias": ANY,
            "reset_after": [True],
            "time_major": ANY,  # batch_first
            "stacked_dropout": ANY,
        },
        calls=(
            *("lengths", "padding", "initial_state", "malformed", "training", "gradients", "fit", "predict"),
            *("initial_weights", "static_shapes"),
        ),
        num_layers=99,
        bidirectional=True,
        merge_modes=MERGE_MODES,  # halves of the last layer's output, merged afterwards
        with_lengths=("time_major",),
        reasons={
            "activation": ("torch.nn layers have no activation argument; it is tanh", "ACT-1"),
            "recurrent_activation": (
                "torch.nn layers have no recurrent activation argument; it is sigmoid",
                "ACT-1",
            ),
            "reset_after": (
                "torch.nn.GRU applies the reset gate after the recurrent product only",
                "GRU-EQ-4",
            ),
            "unroll": ("torch.nn layers have no unroll argument", "UNROLL-1"),
            "unit_forget_bias": ("torch.nn layers have no unit_forget_bias argument", "INIT-2"),
            "positional": ("torch.nn layers take their sizes by position", "ERR-3"),
            "": ("torch.nn layers have no {name} argument", ""),
        },
    )

    def describe(self) -> Description:
        """torch's version and devices."""
        cuda = range(torch.cuda.device_count())
        return Description(
            framework="torch",
            version=torch.__version__,
            devices=["cpu", *(f"cuda:{n}" for n in cuda)],
            dtypes=dict.fromkeys(("float64", "float32", "float16", "bfloat16")),
            packages={"numpy": np.__version__},
            notes=(*(f"cuda:{n} is {torch.cuda.get_device_name(n)}" for n in cuda),),
        )

    def configure(self, settings: Mapping[str, str]) -> None:
        """``torch.backends``."""
        on = {name: value == "on" for name, value in settings.items()}
        products = torch.backends.cuda.matmul
        products.allow_tf32 = torch.backends.cudnn.allow_tf32 = on["tf32"]
        products.allow_fp16_reduced_precision_reduction = on["reduced_precision_reduction"]
        products.allow_bf16_reduced_precision_reduction = on["reduced_precision_reduction"]
        torch.backends.cudnn.enabled = on["cudnn"]
        torch.backends.mkldnn.enabled = on["onednn"]

    def build(self, spec: LayerSpec) -> LengthsModel:
        """The stock layer."""
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "torch.nn layers concatenate the directions between layers", "NET-3")
        return _TorchModel(spec)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``torch.nn``."""
        arrays = layouts.to_torch(spec.layer, weights, reset_after=spec.reset_after)
        return Script({}, dict(arrays))


class _TorchModel(LengthsModel):
    def __init__(self, spec: LayerSpec) -> None:
        self._spec, arguments = spec, spec.arguments
        if spec.seed is not None:
            torch.manual_seed(spec.seed)
        self._batch_first = not arguments["time_major"]
        with framework():
            self._module = getattr(torch.nn, spec.layer)(
                spec.size.F,
                spec.units,
                num_layers=spec.num_layers,
                bidirectional=spec.bidirectional,
                dropout=arguments.get("stacked_dropout", 0.0),
                bias=arguments["use_bias"],
                batch_first=self._batch_first,
                device=spec.device,
                dtype=getattr(torch, spec.dtype),
            )
        self.path = "cuDNN" if spec.device.startswith("cuda") and torch.backends.cudnn.enabled else None

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        tensors = {name: self._tensor(array) for name, array in weights.items()}
        with framework():
            self._module.load_state_dict(tensors)
        self._module.flatten_parameters()

    def weights(self) -> Mapping[str, np.ndarray]:
        return {name: _numpy(value) for name, value in self._module.state_dict().items()}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        array = np.array(array, order="C")  # a copy: torch takes no negative strides, not even of length 1
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16).to(self._spec.device)
        return torch.from_numpy(array).to(self._spec.device)

    def run(
        self, inputs: np.ndarray, lengths: np.ndarray | None, states: Sequence[np.ndarray] | None
    ) -> tuple[Outputs, Sequence[np.ndarray]]:
        # Not inference_mode: cuDNN's dropout state, kept for the whole process, would be born in it, and no gradient be had after that.
        with torch.no_grad():
            tensors = [self._tensor(state) for state in self._stacked(states)]
            outputs, kinds = self._forward(self._tensor(inputs), lengths, self._given(states, tensors))
        result = _numpy(outputs)
        finals = [_numpy(kind) for kind in kinds]
        sides = np.split(result, 2, axis=-1) if self._spec.bidirectional else result
        return sides, [kind[place] for place in range(len(finals[0])) for kind in finals]

    def _stacked(self, states: Sequence[np.ndarray] | None) -> list[np.ndarray]:
        """Each kind of state for all layers and directions [L D, B, U] (NET-4)."""
        if not self._spec.is_network:
            return [state[None] for state in states or ()]
        return (
            [np.stack(states[k :: self._spec.state_count]) for k in range(self._spec.state_count)]
            if states
            else []
        )

    def _given(self, states: Sequence[np.ndarray] | None, tensors: Sequence[torch.Tensor]) -> Any:
        """States as the layer takes them."""
        if states is None or self._spec.layer == "LSTM":
            return None if states is None else tuple(tensors)
        require(len(tensors) == 1, "torch.nn.GRU takes its state as one tensor, not as a list", "STATE-2")
        return tensors[0]

    def _forward(
        self, inputs: torch.Tensor, lengths: np.ndarray | None, states: Any
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        x: Any = inputs
        require(
            lengths is None or bool(lengths.size == 0 or (lengths != 0).all()),
            "pack_padded_sequence refuses a row of length 0",
            "MASK-6",
        )
        with framework():
            if lengths is not None:
                rows = torch.from_numpy(lengths.copy())
                x = pack_padded_sequence(x, rows, self._batch_first, enforce_sorted=False)
            outputs, final = self._module(x, states)
            if lengths is not None:
                steps = inputs.shape[1 if self._batch_first else 0]
                outputs, _ = pad_packed_sequence(outputs, self._batch_first, total_length=steps)
        return outputs, final if isinstance(final, tuple) else (final,)

    def vjp(
        self,
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        states: Sequence[np.ndarray] | None,
        outputs: np.ndarray,
        finals: Sequence[np.ndarray],
    ) -> Pulled:
        """By ``torch.autograd.grad``."""
        x = self._tensor(inputs).requires_grad_()
        given = [self._tensor(state).requires_grad_() for state in self._stacked(states)]
        found, kinds = self._forward(x, lengths, self._given(states or None, given))
        parameters = dict(self._module.named_parameters())
        seeds = [self._tensor(outputs), *(self._tensor(seed[None]) for seed in finals)]
        with framework():
            slopes = torch.autograd.grad([found, *kinds], [x, *given, *parameters.values()], seeds)
        own = dict(zip(parameters, map(_numpy, slopes[1 + len(given) :]), strict=True))
        if self._spec.layer == "LSTM" and "bias_hh_l0" in own:
            own["bias_hh_l0"] = np.zeros_like(own["bias_hh_l0"])  # MAP-TORCH-2: Keras's bias is bias_ih
        return Pulled(
            _numpy(found.detach()),
            [_numpy(kind.detach())[0] for kind in kinds],
            _numpy(slopes[0]),
            [_numpy(slope)[0] for slope in slopes[1 : 1 + len(given)]],
            own,
        )

    def learn(self, lesson: Lesson, learning_rate: float) -> None:
        """``torch.optim.SGD`` on ``mse_loss`` of the valid steps."""
        optimizer = torch.optim.SGD(self._module.parameters(), lr=learning_rate)
        outputs, _ = self._forward(self._tensor(lesson.inputs), lesson.lengths, None)
        outputs = outputs if self._batch_first else outputs.transpose(0, 1)
        if lesson.places is not None and lesson.shown is not None:
            places, shown = (
                torch.tensor(a)[..., None].to(outputs.device) for a in (lesson.places, lesson.shown)
            )
            outputs = outputs.gather(1, places.expand_as(outputs)) * shown
        output, target = outputs[:, -1] if lesson.last else outputs, self._tensor(lesson.targets)
        if lesson.valid is not None:
            kept = torch.tensor(lesson.valid).to(outputs.device)
            output, target = output[kept], target[kept]
        with framework():
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(output, target).backward()
            optimizer.step()

    def shapes(self) -> Mapping[str, tuple[Sequence[int | None], Sequence[int | None]]]:
        """From a module on the ``meta`` device."""
        shape = self._spec.declared["Input"]
        require(None not in shape, "tensors on PyTorch's meta device have fixed dimensions", "SHAPE-9")
        with framework():
            module = getattr(torch.nn, self._spec.layer)(
                self._spec.size.F, self._spec.units, batch_first=True, device="meta"
            )
            output, states = module(torch.empty(*shape, device="meta"))
        state = states[0] if isinstance(states, tuple) else states
        return {"the meta device": (tuple(output.shape), tuple(state.shape[1:]))}

    def train(self, training: bool | None) -> None:
        """A fresh module is in training mode."""
        self._module.train(training is None or training)

    def rewind(self) -> None:
        torch.manual_seed(7)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
