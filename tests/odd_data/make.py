"""Writes the stores of this folder anew: python make.py (needs pyarrow, pandas, polars, duckdb and datasets).

All hold the same twelve vectors under the same two labels, as different programs write them. Mining any of them must give
the same triplets. Values are multiples of 1/8, which every float type holds.
"""

import shutil
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent / "stores"
N, D = 12, 4
VECTORS = [[(1 + (row * row * 5 + i * i * 3 + row * i) % 17) / 8 for i in range(D)] for row in range(N)]
LABELS = ["false"] * (N // 2) + ["true"] * (N // 2)
IDS = list(range(N))


def table(kind=pa.list_(pa.float32()), ids=pa.array(IDS, pa.int64()), labels=pa.array(LABELS)):
    return pa.table({"id": ids, "label": labels, "embedding": pa.array(VECTORS, kind)})


def write(name, data, **options):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data, path, **options)


def lists_and_floats():
    for letter, value in [("f16", pa.float16()), ("f32", pa.float32()), ("f64", pa.float64())]:
        for name, kind in [("fixed", pa.list_(value, D)), ("list", pa.list_(value)), ("large", pa.large_list(value))]:
            write(f"{name}-{letter}.parquet", table(kind))
    required = pa.list_(pa.field("element", pa.float32(), nullable=False), D)
    write("required-element.parquet", table(required))
    write("child-item.parquet", table(), use_compliant_nested_type=False)


def ids_and_labels():
    text = pa.array([f"row {row}" for row in IDS])
    for name, ids in [
        ("text", text),
        ("large-text", text.cast(pa.large_string())),
        ("text-view", text.cast(pa.string_view())),
        ("text-dictionary", text.dictionary_encode()),
        ("int8", pa.array(IDS, pa.int8())),
        ("negative", pa.array([-(2**62) - row for row in IDS], pa.int64())),
        ("beyond-2-53", pa.array([2**64 - 1 - row for row in IDS], pa.uint64())),
    ]:
        write(f"id-{name}.parquet", table(ids=ids))
    labels = pa.array(LABELS)
    for name, values in [
        ("dictionary", labels.dictionary_encode()),
        ("bool", pa.array([label == "true" for label in LABELS])),
        ("int32", pa.array([int(label == "true") for label in LABELS], pa.int32())),
        ("uint64", pa.array([2**64 - 1 - int(label == "true") for label in LABELS], pa.uint64())),
        ("large-text", labels.cast(pa.large_string())),
        ("view", labels.cast(pa.string_view())),
    ]:
        write(f"label-{name}.parquet", table(labels=values))


def files():
    whole = table()
    for codec in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
        write(f"codec-{codec}.parquet", whole, compression=codec)
    write("row-groups.parquet", whole, row_group_size=5)
    write("pages-v2.parquet", whole, data_page_version="2.0")
    write("byte-stream-split.parquet", whole, use_dictionary=False, use_byte_stream_split=["embedding.list.element"])
    write("no-extension", whole)
    for part in range(3):
        write(f"several/part-{part}.parquet", whole.slice(part * 4, 4))
    write("several/_metadata.parquet", whole)  # hidden by its name
    write("nested/deep/er/a.parquet", whole)
    for label in ["false", "true"]:
        rows = [row for row in IDS if LABELS[row] == label]
        write(f"hive/label={label}/data.parquet", whole.take(rows).drop_columns(["label"]))


def other_writers():
    columns = {"id": IDS, "label": LABELS, "embedding": [np.array(vector, np.float32) for vector in VECTORS]}
    pd.DataFrame(columns).to_parquet(HERE / "pandas.parquet")
    pd.DataFrame(columns).set_index("id").to_parquet(HERE / "pandas-index.parquet", index=True)
    pd.DataFrame(columns).astype({"label": "category"}).to_parquet(HERE / "pandas-category.parquet")
    frame = pl.DataFrame({"id": IDS, "label": LABELS, "embedding": VECTORS})
    frame.write_parquet(HERE / "polars-list.parquet")
    frame.with_columns(pl.col("embedding").cast(pl.Array(pl.Float32, D)), pl.col("label").cast(pl.Categorical)).write_parquet(
        HERE / "polars-array.parquet"
    )
    arrow = table()  # DuckDB finds it by its name
    for name, kind in [("list", "FLOAT[]"), ("array", f"FLOAT[{D}]"), ("double", "DOUBLE[]")]:
        query = f"SELECT id, label, embedding::{kind} AS embedding FROM arrow ORDER BY id"
        duckdb.sql(query).write_parquet(str(HERE / f"duckdb-{name}.parquet"))
    features = datasets.Features(
        {"id": datasets.Value("int64"), "label": datasets.ClassLabel(names=["false", "true"]), "embedding": datasets.List(datasets.Value("float32"))}
    )
    rows = {"id": IDS, "label": LABELS, "embedding": VECTORS}
    datasets.Dataset.from_dict(rows, features).to_parquet(str(HERE / "datasets-list.parquet"))
    features["embedding"] = datasets.List(datasets.Value("float32"), length=D)
    datasets.Dataset.from_dict(rows, features).to_parquet(str(HERE / "datasets-fixed.parquet"))


shutil.rmtree(HERE, ignore_errors=True)
HERE.mkdir()
lists_and_floats()
ids_and_labels()
files()
other_writers()
