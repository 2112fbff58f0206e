"""Keras 3: model.fit on triplets, whatever the backend (KERAS_BACKEND=tensorflow, torch or jax).

    miner run trainers/triplets.toml && python trainers/keras_triplet.py
"""
import keras
import numpy as np
import pyarrow.parquet as pq
from keras import ops

from sample import Sample, compare, mined

digits = Sample("digits")


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


class Triplets(keras.utils.PyDataset):
    """Batches of b × 3 × 64, shuffled anew every epoch; the targets are not looked at."""

    def __init__(self, rows, inputs, seed, batch_size=64):
        super().__init__()
        self.rows, self.inputs, self.batch_size = rows.copy(), inputs, batch_size
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index):
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.inputs[rows], np.zeros(len(rows), np.float32)

    def on_epoch_end(self):
        self.rng.shuffle(self.rows)


def triplet_loss(_, embedded, margin=0.2):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the cosine distance; embedded is b × 3 × d, of unit length."""
    anchor, positive, negative = embedded[:, 0], embedded[:, 1], embedded[:, 2]
    return ops.relu(ops.sum(anchor * negative, axis=-1) - ops.sum(anchor * positive, axis=-1) + margin)


def train(rows, seed, epochs=6):
    """Trains a head on triplets, and embeds the store with it."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input((3, 64)),  # layers work on the last axis: one head for all three
        keras.layers.Dense(8, use_bias=False, kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")),
        keras.layers.UnitNormalization(),
    ])
    model.compile(keras.optimizers.Adam(1e-3), triplet_loss)
    model.fit(Triplets(rows, digits.vectors, seed), epochs=epochs, shuffle=False, verbose=0)
    return digits.vectors @ ops.convert_to_numpy(model.layers[0].kernel)


if __name__ == "__main__":
    triplets = manifest(mined("triplets"))
    compare(
        f"keras_triplet: triplet loss, {len(triplets):,} triplets, 6 epochs",
        digits,
        triplets,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(digits.random_triplets(triplets[:, 0], seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
