"""PyTorch: ``torch.nn.LSTM`` and ``torch.nn.GRU``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import torch
from rnn_reference import layouts
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnn_conformance.contract.adapter import (
    Adapter,
    Description,
    Gradients,
    LayerSpec,
    Model,
    Script,
    Unsupported,
    converted,
    framework,
    refuse_keras_only,
    require,
)
from rnn_conformance.running.composition import (
    Carrying,
    Flat,
    PredictingInBatches,
    epoch,
    network_of,
    pack,
    returned,
    static_views,
)

torch.set_num_threads(1)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.deterministic = True


class TorchAdapter(Adapter):
    """``torch.nn`` layers in inference mode."""

    def describe(self) -> Description:
        """torch's version and devices."""
        cuda = range(torch.cuda.device_count())
        return Description(
            framework="torch",
            version=str(torch.__version__),  # a str subclass that would make the parent import torch
            devices=["cpu", *(f"cuda:{n}" for n in cuda)],
            dtypes=dict.fromkeys(("float64", "float32", "float16", "bfloat16")),
            packages={"numpy": np.__version__},
            notes=(
                "TF32 is switched off",
                *(f"cuda:{n} is {torch.cuda.get_device_name(n)}" for n in cuda),
            ),
        )

    def build(self, spec: LayerSpec) -> Model:
        """The stock layer; what its constructor cannot say is unsupported."""
        a = spec.arguments
        if a.get("stateful"):
            return Carrying(self.build, spec)
        require(a["activation"] == "tanh", "torch.nn layers have no activation argument; it is tanh", "ACT-1")
        require(
            a["recurrent_activation"] == "sigmoid",
            "torch.nn layers have no recurrent activation argument; it is sigmoid",
            "ACT-1",
        )
        require(
            spec.layer == "LSTM" or spec.reset_after,
            "torch.nn.GRU applies the reset gate after the recurrent product only",
            "GRU-EQ-4",
        )
        refuse_keras_only(replace(spec, arguments=_own(spec)), "torch.nn layers")
        # Halves of the last layer's output can be merged afterwards; between layers nobody can reach.
        inside = spec.num_layers > 1 and spec.merge_mode != "concat"
        require(not inside, "torch.nn layers concatenate the directions between layers", "NET-3")
        require(not a["unroll"], "torch.nn layers have no unroll argument", "UNROLL-1")
        return _TorchModel(spec)

    def script(self, spec: LayerSpec, weights: Mapping[str, np.ndarray]) -> Script | None:
        """Through ``torch.nn``."""
        arrays = layouts.to_torch(spec.layer, weights, reset_after=spec.reset_after)
        return Script({}, dict(arrays))


class _TorchModel(PredictingInBatches):
    def __init__(self, spec: LayerSpec) -> None:
        self._spec, self._arguments = spec, spec.arguments
        if spec.seed is not None:
            torch.manual_seed(spec.seed)
        self._batch_first = not self._arguments["time_major"]
        with framework():
            self._module = getattr(torch.nn, spec.layer)(
                spec.size.F,
                spec.units,
                num_layers=spec.num_layers,
                bidirectional=spec.bidirectional,
                dropout=self._arguments.get("stacked_dropout", 0.0),
                bias=self._arguments["use_bias"],
                batch_first=self._batch_first,
                device=spec.device,
                dtype=getattr(torch, spec.dtype),
            )
        self.path = "cuDNN" if spec.device.startswith("cuda") and torch.backends.cudnn.enabled else None

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        own = converted(layouts.network_to_torch, network_of(self._spec), weights)
        tensors = {name: self._tensor(array) for name, array in own.items()}
        with framework():
            self._module.load_state_dict(tensors)
        self._module.flatten_parameters()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        array = np.array(array, order="C")  # a copy: torch takes no negative strides, not even of length 1
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16).to(self._spec.device)
        return torch.from_numpy(array).to(self._spec.device)

    def call(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        a = self._arguments
        time_axis = 1 if self._batch_first else 0
        states = None
        if initial_state is not None:
            require(
                self._spec.layer == "LSTM" or len(initial_state) == 1,
                "torch.nn.GRU takes its state as one tensor, not as a list",
                "STATE-2",
            )
            tensors = [self._tensor(state) for state in self._stacked(initial_state)]
            states = tuple(tensors) if self._spec.layer == "LSTM" else tensors[0]
        merged = self._spec.bidirectional and self._spec.merge_mode != "concat"
        self.mode = "composed" if a["go_backwards"] or merged else "native"
        if a["go_backwards"]:
            inputs = np.flip(inputs, time_axis)
            mask = None if mask is None else np.flip(mask, time_axis)
        with torch.inference_mode():
            if mask is None:
                tensor = self._tensor(inputs)
                with framework():
                    outputs, final = self._module(tensor, states)
                result = _numpy(outputs)
                parts = self._directions(result if self._batch_first else result.swapaxes(0, 1))
            else:
                parts, final = self._call_masked(inputs, mask, states)
        kinds = [_numpy(s) for s in (final if isinstance(final, tuple) else (final,))]
        finals = [kind[place] for place in range(len(kinds[0])) for kind in kinds]
        return returned(self._spec, parts, finals)

    def _stacked(self, states: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Each kind of state for all layers and directions [L D, B, U] (NET-4)."""
        if not self._spec.is_network:
            return [state[None] for state in states]
        return [np.stack(states[k :: self._spec.state_count]) for k in range(self._spec.state_count)]

    def _directions(self, outputs: np.ndarray) -> list[np.ndarray]:
        """Of outputs [B, T, D U] those of each direction."""
        return np.split(outputs, 2, axis=-1) if self._spec.bidirectional else [outputs]

    def _call_masked(self, inputs: np.ndarray, mask: np.ndarray, states: Any) -> tuple[list[np.ndarray], Any]:
        """The valid steps as a PackedSequence: outputs of each direction, back in place."""
        if not self._batch_first:
            inputs, mask = inputs.swapaxes(0, 1), mask.swapaxes(0, 1)
        packed = pack(inputs, mask)
        if not packed.lengths.all():
            raise Unsupported("pack_padded_sequence refuses a row of length 0", "MASK-6")
        zero = network_of(self._spec).config.zero_output_for_mask
        if not (packed.right_padded and zero):
            self.mode = "composed"
        tensor = self._tensor(packed.inputs if self._batch_first else packed.inputs.swapaxes(0, 1))
        with framework():
            sequence = pack_padded_sequence(
                tensor, torch.from_numpy(packed.lengths), self._batch_first, enforce_sorted=False
            )
            outputs, final = self._module(sequence, states)
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=mask.shape[1])
        return [
            packed.unpack(part, zero_output_for_mask=zero, backward=k == 1)
            for k, part in enumerate(self._directions(_numpy(padded)))
        ], final

    def initial_weights(self) -> Mapping[str, np.ndarray]:
        """PyTorch's own defaults; of an LSTM's two biases the sum."""
        require(
            self._arguments.get("unit_forget_bias", True),
            "torch.nn layers have no unit_forget_bias argument",
            "INIT-2",
        )
        weights = {name: _numpy(value.detach()) for name, value in self._module.named_parameters()}
        return layouts.from_torch(self._spec.layer, weights)

    def static_shapes(self) -> Mapping[str, Sequence[Sequence[int | None]]]:
        """From a module on the ``meta`` device."""
        shape = self._spec.declared["Input"]
        require(None not in shape, "tensors on PyTorch's meta device have fixed dimensions", "SHAPE-9")
        with framework():
            module = getattr(torch.nn, self._spec.layer)(
                self._spec.size.F, self._spec.units, batch_first=True, device="meta"
            )
            output, states = module(torch.empty(*shape, device="meta"))
        state = states[0] if isinstance(states, tuple) else states
        return {"the meta device": static_views(self._spec, tuple(output.shape), tuple(state.shape[1:]))}

    def weight_shapes(self) -> Mapping[str, Sequence[int]]:
        weights = {name: _numpy(value.detach()) for name, value in self._module.named_parameters()}
        return {name: array.shape for name, array in layouts.from_torch(self._spec.layer, weights).items()}

    def call_lengths(self, inputs: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """``pack_padded_sequence`` and the layer."""
        require(
            bool(lengths.size == 0 or (lengths != 0).all()),
            "pack_padded_sequence refuses a row of length 0",
            "MASK-6",
        )
        tensor = self._tensor(inputs)
        with framework(), torch.inference_mode():
            packed = pack_padded_sequence(
                tensor, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
            )
            outputs, _ = self._module(packed)
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return [_numpy(padded.detach())]

    def _flat(
        self, inputs: torch.Tensor, lengths: np.ndarray | None, states: Any
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Outputs [B, T, U] and states of a batch-major call with lengths."""
        total = inputs.shape[1]
        x: Any = inputs if self._batch_first else inputs.transpose(0, 1)
        if lengths is not None and not lengths.all():
            raise Unsupported("pack_padded_sequence refuses a row of length 0", "MASK-6")
        with framework():
            if lengths is not None:
                x = pack_padded_sequence(
                    x, torch.from_numpy(lengths), self._batch_first, enforce_sorted=False
                )
            outputs, final = self._module(x, states)
            if lengths is not None:
                outputs, _ = pad_packed_sequence(outputs, batch_first=self._batch_first, total_length=total)
        finals = final if isinstance(final, tuple) else (final,)
        return outputs if self._batch_first else outputs.transpose(0, 1), [s[0] for s in finals]

    def gradients(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        cotangents: Sequence[np.ndarray],
    ) -> Gradients:
        """By ``torch.autograd.grad``."""
        flat = Flat.of(self._spec, inputs, mask)
        self.mode = flat.mode
        x = self._tensor(flat.inputs).requires_grad_()
        given = [self._tensor(state[None]).requires_grad_() for state in initial_state or ()]
        states = None if not given else tuple(given) if self._spec.layer == "LSTM" else given[0]
        outputs, finals = self._flat(x, flat.lengths, states)
        output_seed, state_seeds = flat.cotangents(cotangents)
        parameters = dict(self._module.named_parameters())
        targets = [x, *given, *parameters.values()]
        seeds = [self._tensor(seed) for seed in (output_seed, *state_seeds)]
        with framework():
            found = torch.autograd.grad([outputs, *finals], targets, seeds)
        slopes = [_numpy(g) for g in found]
        own = dict(zip(parameters, slopes[1 + len(given) :], strict=True))
        if self._spec.layer == "LSTM" and "bias_hh_l0" in own:
            own["bias_hh_l0"] = np.zeros_like(own["bias_hh_l0"])  # MAP-TORCH-2: Keras's bias is bias_ih
        return Gradients(
            flat.returned(_numpy(outputs.detach()), [_numpy(s.detach()) for s in finals]),
            flat.input_gradient(slopes[0]),
            [g[0] for g in slopes[1 : 1 + len(given)]],
            layouts.from_torch(self._spec.layer, own),
            np.zeros(0, inputs.dtype),
        )

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int | None,
        learning_rate: float,
        mask: np.ndarray | None = None,
    ) -> tuple[dict[str, np.ndarray], int]:
        """The usual loop: ``torch.optim.SGD`` on ``mse_loss`` of the valid steps over slices of the data."""
        self.mode = "composed"
        sequences = self._arguments["return_sequences"]
        optimizer = torch.optim.SGD(self._module.parameters(), lr=learning_rate)
        updates = 0
        for x, wanted, valid in epoch(inputs, targets, mask, batch_size):
            flat = Flat.of(self._spec, x, valid)
            outputs, _ = self._flat(self._tensor(flat.inputs), flat.lengths, None)
            if flat.placement is not None:
                places, shown = (torch.from_numpy(a)[..., None].to(outputs.device) for a in flat.placement)
                outputs = outputs.gather(1, places.expand_as(outputs)) * shown
            output, target = outputs if sequences else outputs[:, -1], self._tensor(wanted)
            if sequences and valid is not None:
                kept = torch.from_numpy(valid).to(outputs.device)
                output, target = output[kept], target[kept]
            with framework():
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(output, target).backward()
                optimizer.step()
            updates += 1
        weights = {name: _numpy(value) for name, value in self._module.state_dict().items()}
        return dict(layouts.from_torch(self._spec.layer, weights)), updates

    def call_training(
        self,
        inputs: np.ndarray,
        mask: np.ndarray | None,
        initial_state: Sequence[np.ndarray] | None,
        training: bool | None,
    ) -> list[np.ndarray]:
        """In ``train()`` or ``eval()`` mode; a fresh module is in the former."""
        self._module.train(training is None or training)
        return self.call(inputs, mask, initial_state)

    def rewind(self) -> None:
        torch.manual_seed(7)


def _own(spec: LayerSpec) -> dict[str, Any]:
    """The arguments but for the one that PyTorch alone has."""
    return {name: value for name, value in spec.arguments.items() if name != "stacked_dropout"}


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
