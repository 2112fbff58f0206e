"""TensorFlow: a tf.data pipeline over the manifest, and triplet loss by GradientTape.

    miner run trainers/triplets.toml && python trainers/tensorflow_triplet.py
"""
import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from sample import Sample, compare, mined

digits = Sample("digits")


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def batches(rows, seed):
    """Batches of triplets, b × 3 × 64, in another order every epoch."""
    inputs = tf.constant(digits.vectors)  # in your training, the map reads the files that the rows stand for
    data = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(rows), seed=seed).batch(64)
    return data.map(lambda triplets: tf.gather(inputs, triplets))


def triplet_loss(embedded, margin=0.2):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the cosine distance."""
    anchor, positive, negative = tf.unstack(tf.math.l2_normalize(embedded, axis=-1), axis=1)
    gap = tf.reduce_sum(anchor * positive, axis=-1) - tf.reduce_sum(anchor * negative, axis=-1)
    return tf.reduce_mean(tf.nn.relu(margin - gap))


def train(rows, seed, epochs=6):
    """Trains a head on triplets, and embeds the store with it."""
    tf.random.set_seed(seed)
    head = tf.Variable(tf.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed)((64, 8)))
    optimizer = tf.keras.optimizers.Adam(1e-3)
    optimizer.build([head])

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = triplet_loss(tf.matmul(batch, head))
        optimizer.apply_gradients(zip(tape.gradient(loss, [head]), [head]))

    data = batches(rows, seed)
    for _ in range(epochs):
        for batch in data:
            step(batch)
    return (digits.vectors @ head).numpy()


if __name__ == "__main__":
    triplets = manifest(mined("triplets"))
    compare(
        f"tensorflow_triplet: triplet loss, {len(triplets):,} triplets, 6 epochs",
        digits,
        triplets,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(digits.random_triplets(triplets[:, 0], seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
