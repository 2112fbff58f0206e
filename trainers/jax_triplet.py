"""JAX and optax: one jitted step on batches of rows.

    miner run trainers/triplets.toml && python trainers/jax_triplet.py
"""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow.parquet as pq

from sample import Sample, compare, mined

digits = Sample("digits")


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def triplet_loss(head, batch, margin=0.2):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the cosine distance; the batch is b × 3 × 64."""
    embedded = batch @ head
    anchor, positive, negative = jnp.moveaxis(embedded / jnp.linalg.norm(embedded, axis=-1, keepdims=True), 1, 0)
    gap = jnp.sum(anchor * positive, axis=-1) - jnp.sum(anchor * negative, axis=-1)
    return jnp.mean(jax.nn.relu(margin - gap))


optimizer = optax.adam(1e-3)


@jax.jit
def step(head, state, batch):
    updates, state = optimizer.update(jax.grad(triplet_loss)(head, batch), state)
    return optax.apply_updates(head, updates), state


def train(rows, seed, epochs=6):
    """Trains a head on triplets, and embeds the store with it."""
    order = np.random.default_rng(seed)
    head = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")(jax.random.key(seed), (64, 8))
    state = optimizer.init(head)
    for _ in range(epochs):
        shuffled = order.permutation(rows)
        for first in range(0, len(rows) - 63, 64):  # whole batches alone: one shape, compiled once
            head, state = step(head, state, digits.vectors[shuffled[first : first + 64]])
    return digits.vectors @ np.asarray(head)


if __name__ == "__main__":
    triplets = manifest(mined("triplets"))
    compare(
        f"jax_triplet: triplet loss, {len(triplets):,} triplets, 6 epochs",
        digits,
        triplets,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(digits.random_triplets(triplets[:, 0], seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
