"""Writes the stores of this folder anew: python make.py (needs numpy and pyarrow 26).

Each is a small store with one thing wrong; what the program must say of it stands in cases.toml.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent / "stores"
N, D = 8, 4
VECTORS = [[float(1 + (row * 7 + i * 3) % 11) for i in range(D)] for row in range(N)]
IDS = [f"r{row}" for row in range(N)]
LABELS = ["cat", "dog"] * (N // 2)


def table(vectors=VECTORS, ids=IDS, labels=LABELS, kind=pa.list_(pa.float32()), **more):
    columns = {
        "id": ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string()),
        "label": labels if isinstance(labels, pa.Array) else pa.array(labels, pa.string()),
        "score": pa.array(np.linspace(0, 1, len(ids)), pa.float64()),
        "embedding": vectors if isinstance(vectors, pa.Array) else pa.array(vectors, kind),
    }
    return pa.table(columns | more)


def write(name, data, **options):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        pq.write_table(data, path, **options)
    return path


def with_value(row, element, value, **options):
    vectors = [list(vector) for vector in VECTORS]
    vectors[row][element] = value
    return table(vectors, **options)


def with_vector(row, vector, **options):
    return table(VECTORS[:row] + [vector] + VECTORS[row + 1 :], **options)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    good = write("good.parquet", table(tags=pa.array([["x"]] * N), counts=pa.array([[1, 2]] * N, pa.list_(pa.int8()))))

    # Vectors.
    write("nan.parquet", with_value(2, 1, float("nan")))
    write("infinity.parquet", with_value(5, 3, float("-inf")))
    write("zero-vector.parquet", with_vector(4, [0.0] * D))
    write("null-vector.parquet", with_vector(3, None))
    write("empty-vector.parquet", with_vector(3, []))
    write("ragged.parquet", with_vector(6, [1.0] * (D + 1)))
    write("null-element.parquet", with_value(1, 2, None))
    write("beyond-f32.parquet", with_value(2, 0, 1e39, kind=pa.list_(pa.float64())))
    write("huge-norm.parquet", with_value(2, 0, 1e20))
    many = [list(vector) for vector in VECTORS + VECTORS]
    many[0], many[2][0], many[4], many[6] = None, float("nan"), [0.0] * D, [1.0]
    ids = [f"r{row}" for row in range(2 * N)]
    ids[5], ids[7] = None, "r3"
    write("many-flaws.parquet", table(many, ids, LABELS + LABELS))
    write("all-bad.parquet", table([None] * N))

    # Ids and labels.
    write("null-id.parquet", table(ids=IDS[:3] + [None] + IDS[4:]))
    write("repeated-id.parquet", table(ids=IDS[:6] + ["r1", "r7"]))
    write("repeated-across-files/a.parquet", table())
    write("repeated-across-files/b.parquet", table(ids=[f"s{row}" for row in range(N - 1)] + ["r5"]))
    write("no-rows.parquet", table().slice(0, 0))
    write("no-pairs.parquet", table(labels=[f"class {row}" for row in range(N)]))
    write("no-labels.parquet", table(labels=[None] * N))

    # Files.
    whole = good.read_bytes()
    write("truncated.parquet", whole[: len(whole) * 2 // 3])
    write("wrong-magic.parquet", b"PK\x03\x04" + whole[4:-4] + b"PK\x05\x06")
    write("empty-file.parquet", b"")
    write("csv.parquet", b"id,label,embedding\nr0,cat,1;2;3\n")
    damaged = bytearray(write("damaged-page.parquet", table(), compression="zstd", use_dictionary=False).read_bytes())
    start = pq.read_metadata(HERE / "damaged-page.parquet").row_group(0).column(3).data_page_offset
    damaged[start + 24 : start + 64] = b"\xff" * 40
    write("damaged-page.parquet", bytes(damaged))
    write("no-parquet/notes.txt", b"the embeddings are on the other disk\n")

    # Several files.
    write("types-differ/a.parquet", table())
    write("types-differ/b.parquet", table(ids=[f"s{row}" for row in range(N)], labels=pa.array([0, 1] * (N // 2))))
    write("column-missing/a.parquet", table())
    write("column-missing/b.parquet", table(ids=[f"s{row}" for row in range(N)]).drop_columns(["label"]))
    write("partitions-differ/split=train/a.parquet", table())
    write("partitions-differ/fold=1/b.parquet", table(ids=[f"s{row}" for row in range(N)]))


main()
