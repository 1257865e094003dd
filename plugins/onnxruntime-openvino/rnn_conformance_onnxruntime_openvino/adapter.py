"""ONNX Runtime's own adapter, with OpenVINO's plug-in execution provider as its devices."""

from __future__ import annotations

from dataclasses import replace

import onnxruntime_ep_openvino
from rnn_conformance.adapters.onnxruntime.adapter import OnnxRuntimeAdapter
from rnn_conformance.contract.adapter import Description


class OpenVinoProviderAdapter(OnnxRuntimeAdapter):
    """As ``run --adapter onnxruntime --provider-library PATH``, under a name and with declarations of its own."""

    libraries = (str(onnxruntime_ep_openvino.get_library_path()),)

    def describe(self) -> Description:
        """The provider's devices alone."""
        return replace(
            super().describe(),
            devices=list(self.plugged),
            notes=("INFERENCE_PRECISION_HINT as the provider sets it",),
        )
