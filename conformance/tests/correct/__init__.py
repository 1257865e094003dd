"""A kit of correct implementations: forward passes that differ in everything an implementation is free to choose.

None of them shares code with `rnn_reference`: loops, sums, functions and roundings are their own. Each is a set of `Choices`, and its name
says which of them are not the plain ones:

    sum=...        order in which a dot product is summed: `products.PRODUCTS`
    from=...       what the accumulators of a gate start from: `layer.GATES`
    update=...     form of the GRU's update: `layer.UPDATES`
    cell=...       form of the LSTM's cell: `layer.CELLS`
    sigmoid=..., tanh=..., others=N    forms of the functions: `functions`
    inside=...     a wider dtype in which everything is computed; `states` says whether states are rounded at every step
    flush          subnormal numbers become zero after every operation

``KIT`` maps names to implementations; all are expected to conform (PREC-2), with room to spare, in each of their dtypes.
"""

from .kit import KIT, Implementation

__all__ = ["KIT", "Implementation"]
