"""keras.layers.LSTM(unroll=True) builds for an unknown number of steps. Exit status 1 while it does."""

import sys

import keras

try:
    output = keras.layers.LSTM(2, unroll=True)(keras.Input((None, 3)))
except ValueError as error:
    print("refused:", error)
    sys.exit(0)
print("accepted:", output.shape)
sys.exit(1)
