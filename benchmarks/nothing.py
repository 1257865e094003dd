"""An adapter that can express nothing: what is left of a run is the suite's own (`bench.py growth`)."""

from rnn_conformance.adapters.numpy.adapter import NumpyAdapter
from rnn_conformance.contract.capabilities import Capabilities


class Nothing(NumpyAdapter):
    """The reference, without a layer."""

    capabilities = Capabilities(layers=())
