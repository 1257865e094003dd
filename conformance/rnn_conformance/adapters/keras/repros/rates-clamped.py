"""Dropout rates outside [0, 1) are accepted. Exit status 1 while they are."""

import sys

import keras

accepted = []
for rate in (-0.5, 1.0, 1.5):
    try:
        layer = keras.layers.LSTM(2, dropout=rate)
    except (ValueError, TypeError) as error:
        print(rate, "refused:", error)
    else:
        print(rate, "accepted, kept as", layer.dropout)
        accepted.append(rate)
sys.exit(1 if accepted else 0)
