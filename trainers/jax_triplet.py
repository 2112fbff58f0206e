"""JAX and optax: one jitted step on batches of rows.

    miner run trainers/triplets.toml && python trainers/jax_triplet.py
"""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow.parquet as pq

import sample


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def triplet_loss(head, batch, margin=0.3):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the cosine distance; the batch is b × 3 × 384."""
    embedded = batch @ head
    anchor, positive, negative = jnp.moveaxis(embedded / jnp.linalg.norm(embedded, axis=-1, keepdims=True), 1, 0)
    gap = jnp.sum(anchor * positive, axis=-1) - jnp.sum(anchor * negative, axis=-1)
    return jnp.mean(jax.nn.relu(margin - gap))


optimizer = optax.adam(1e-3)


@jax.jit
def step(head, state, batch):
    updates, state = optimizer.update(jax.grad(triplet_loss)(head, batch), state)
    return optax.apply_updates(head, updates), state


def train(rows, seed, epochs=3):
    """Trains a head on triplets, and embeds the store with it."""
    order = np.random.default_rng(seed)
    head = jax.nn.initializers.glorot_uniform()(jax.random.key(seed), (384, 128))
    state = optimizer.init(head)
    for _ in range(epochs):
        shuffled = order.permutation(rows)
        for first in range(0, len(rows) - 63, 64):  # whole batches alone: one shape, compiled once
            head, state = step(head, state, sample.vectors[shuffled[first : first + 64]])
    return sample.vectors @ np.asarray(head)


if __name__ == "__main__":
    mined = manifest(sample.MINED / "triplets")
    sample.compare(
        f"jax_triplet: triplet loss, {len(mined):,} triplets, 3 epochs",
        {
            "untrained": lambda seed: train(mined, seed, epochs=0),
            "random": lambda seed: train(sample.random_triplets(mined[:, 0], seed), seed),
            "mined": lambda seed: train(mined, seed),
        },
    )
