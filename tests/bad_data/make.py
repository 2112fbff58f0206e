"""Writes the stores of this folder anew: python make.py (needs numpy and pyarrow 26).

Each is a small store with one thing wrong; what the program must say of it stands in cases.toml. All but the encrypted ones,
whose keys are drawn anew, come out as they were.
"""

import base64
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

import thrift

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


def footer_of(data):
    """Where the footer begins, and its structure."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return start, thrift.Reader(data[start:-8]).struct()


def with_footer(data, change):
    """The file with a forged footer: `change` is given its structure, and may return bytes in its place."""
    start, footer = footer_of(data)
    forged = change(footer)
    if not isinstance(forged, bytes):
        forged = thrift.encode(thrift.STRUCT, footer)
    return data[:start] + forged + len(forged).to_bytes(4, "little") + b"PAR1"


def forge(name, change, data=None, **options):
    """A store whose footer says something else than its pages."""
    plain = dict(compression="none", use_dictionary=False) | options
    write(name, with_footer(write(name, data or table(), **plain).read_bytes(), change))


def in_chunk(column, change):
    """Changes the metadata of a column of the first row group."""
    return lambda footer: change(footer[4][1][1][0][1][1][1][column][3][1])


def put(structure, number, value):
    structure[number] = structure[number][0], value


def page_header(data, at):
    reader = thrift.Reader(data[at:])
    return reader.struct(), reader.at


def with_page(name, change, column=3, page=0, data=None, **options):
    """A store with a page forged: `change` is given its header and its bytes, and returns the bytes; lengths stay as they are."""
    plain = dict(compression="none", use_dictionary=False) | options
    whole = bytearray(write(name, data or table(), **plain).read_bytes())
    meta = pq.read_metadata(HERE / name).row_group(0).column(column)
    at = meta.dictionary_page_offset if meta.has_dictionary_page else meta.data_page_offset
    for _ in range(page + 1):
        begin = at
        header, length = page_header(whole, at)
        at = begin + length + header[3][1]
    body = change(header, bytearray(whole[begin + length : at]))
    forged = thrift.encode(thrift.STRUCT, header) + bytes(body)
    assert len(forged) == at - begin, (len(forged), at - begin)
    whole[begin:at] = forged
    write(name, bytes(whole))


def flip(header, body):
    """One bit in the middle."""
    body[len(body) // 2] ^= 16
    return body


def encrypted(name, **options):
    class Plain(pe.KmsClient):
        """Keeps no secret."""

        def __init__(self, _):
            super().__init__()

        def wrap_key(self, key, _):
            return base64.b64encode(key)

        def unwrap_key(self, key, _):
            return base64.b64decode(key)

    factory = pe.CryptoFactory(lambda _: Plain(_))
    config = pe.EncryptionConfiguration(footer_key="footer", column_keys={"column": ["label"]}, **options)
    keys = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    write(name, table(), encryption_properties=keys)


def nested(depth):
    """A schema of one column inside so many groups."""

    def change(footer):
        group = {3: (5, 1), 4: (8, b"g"), 5: (5, 1)}
        elements = footer[2][1][1]
        elements[1:2] = [group] * depth + [elements[1]]

    return change


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

    write("wrong-first-magic.parquet", b"ORC1" + whole[4:])
    start, _ = footer_of(whole)
    write("footer-cut.parquet", whole[: start + 40] + (40).to_bytes(4, "little") + b"PAR1")
    write("footer-too-long.parquet", whole[:-8] + (1 << 30).to_bytes(4, "little") + b"PAR1")
    encrypted("encrypted.parquet")
    encrypted("encrypted-column.parquet", plaintext_footer=True)

    # Footers that lie.
    forge("rows-of-file.parquet", lambda footer: put(footer, 3, N + 1))
    forge("rows-negative.parquet", lambda footer: put(footer[4][1][1][0], 3, -N))

    def more_rows(footer):
        put(footer, 3, N * 2)
        put(footer[4][1][1][0], 3, N * 2)

    forge("rows-of-all.parquet", more_rows)
    forge("values-of-chunk.parquet", in_chunk(0, lambda chunk: put(chunk, 5, N + 1)))

    forge("values-of-pages.parquet", in_chunk(3, lambda chunk: put(chunk, 5, N * D * 2)))
    forge("chunk-beyond-file.parquet", in_chunk(3, lambda chunk: put(chunk, 9, 1 << 40)))
    forge("chunk-negative.parquet", in_chunk(3, lambda chunk: put(chunk, 7, -1)))
    forge("chunk-of-terabytes.parquet", in_chunk(3, lambda chunk: put(chunk, 6, 1 << 42)))
    forge("chunk-elsewhere.parquet", lambda footer: footer[4][1][1][0][1][1][1][3].update({1: (8, b"other.parquet")}))
    forge("physical-type.parquet", in_chunk(3, lambda chunk: put(chunk, 1, 5)))
    forge("schema-type.parquet", lambda footer: put(footer[2][1][1][6], 1, 5))
    forge("codec-unknown.parquet", in_chunk(3, lambda chunk: put(chunk, 4, 99)))
    forge("codec-lzo.parquet", in_chunk(3, lambda chunk: put(chunk, 4, 3)))
    forge("codec-other.parquet", in_chunk(3, lambda chunk: put(chunk, 4, 6)))
    forge("deep-schema.parquet", nested(500))
    forge("children-of-schema.parquet", lambda footer: put(footer[2][1][1][0], 5, (1 << 31) - 1))
    forge("roots-of-schema.parquet", lambda footer: put(footer[2][1][1][0], 5, 2))
    forge("columns-of-group.parquet", lambda footer: footer[4][1][1][0][1][1][1].pop())

    def billions_of_groups(footer):
        encoded = thrift.encode(thrift.STRUCT, footer)
        groups = thrift.encode(thrift.LIST, footer[4][1])
        return encoded.replace(groups, bytes([0xFC]) + thrift.varint((1 << 31) - 1) + groups[1:])

    forge("groups-of-file.parquet", billions_of_groups)

    # Pages that lie, or were damaged.
    sums = dict(write_page_checksum=True)
    with_page("checksum-data.parquet", flip, **sums)
    with_page("checksum-data-2.parquet", flip, data_page_version="2.0", **sums)
    with_page("checksum-dictionary.parquet", flip, column=1, use_dictionary=True, **sums)
    with_page("checksum-indices.parquet", flip, column=1, page=1, use_dictionary=True, **sums)
    for codec in ["snappy", "gzip", "brotli", "zstd", "lz4"]:
        with_page(f"flipped-{codec}.parquet", lambda _, body: body[:8] + bytes(8) + body[16:], compression=codec)
    with_page("flipped-levels.parquet", lambda _, body: body[:4] + b"\xff" * 8 + body[12:])
    with_page("flipped-dictionary.parquet", lambda _, body: b"\xff" * 4 + body[4:], column=1, use_dictionary=True)
    # Behind the levels: how many bits an index has.
    bits = lambda _, body: body[: (at := 4 + int.from_bytes(body[:4], "little"))] + b"\x21" + body[at + 1 :]
    with_page("flipped-indices.parquet", bits, column=1, page=1, use_dictionary=True)
    with_page("flipped-utf8.parquet", lambda _, body: body[:-1] + b"\xff", column=1)

    def page_says(number, value):
        def change(header, body):
            before = len(thrift.encode(thrift.STRUCT, header))
            put(header, number, value)
            grown = len(thrift.encode(thrift.STRUCT, header)) - before
            if number == 2:
                put(header, 3, len(body) - grown)
            return body[: len(body) - max(grown, 0)] + bytes(max(-grown, 0))

        return change

    with_page("page-of-gigabytes.parquet", page_says(2, (1 << 31) - 1), compression="snappy")
    for codec in ["gzip", "brotli"]:
        with_page(f"page-unpacks-to-more-{codec}.parquet", page_says(2, 100), compression=codec)
    with_page("page-unpacks-to-more-v2.parquet", page_says(2, 100), compression="gzip", data_page_version="2.0")
    with_page("page-beyond-chunk.parquet", page_says(3, 1 << 20))
    with_page("page-negative.parquet", page_says(3, -1))
    with_page("page-kind.parquet", page_says(1, 2))

    # Vectors of several files, and the last row of all.
    write("dimensions-differ/a.parquet", table())
    more = dict(ids=[f"s{row}" for row in range(N)])
    write("dimensions-differ/b.parquet", table([vector + [1.0] for vector in VECTORS], **more))
    write("fixed-dimensions-differ/a.parquet", table(kind=pa.list_(pa.float32(), D)))
    wider = [vector + [1.0] for vector in VECTORS]
    write("fixed-dimensions-differ/b.parquet", table(wider, kind=pa.list_(pa.float32(), D + 1), **more))
    write("element-types-differ/a.parquet", table())
    write("element-types-differ/b.parquet", table(kind=pa.list_(pa.float64()), **more))
    write("nan-in-last-row/a.parquet", table())
    write("nan-in-last-row/b.parquet", with_value(N - 1, D - 1, float("nan"), **more))
    write("empty-file-among-good/a.parquet", table())
    write("empty-file-among-good/b.parquet", b"")
    write("nested-list.parquet", table([[vector] for vector in VECTORS], kind=pa.list_(pa.list_(pa.float32()))))
    write("null-items.parquet", table([[None] * D] * N))
    write("one-long-list.parquet", with_vector(3, [1.0] * 5_000))
    write("no-row-groups.parquet", b"")
    pq.ParquetWriter(HERE / "no-row-groups.parquet", table().schema).close()
    write("one-row.parquet", table().slice(0, 1))
    write("one-class.parquet", table(labels=["cat"] * N))

    # Several files.
    write("types-differ/a.parquet", table())
    write("types-differ/b.parquet", table(ids=[f"s{row}" for row in range(N)], labels=pa.array([0, 1] * (N // 2))))
    write("column-missing/a.parquet", table())
    write("column-missing/b.parquet", table(ids=[f"s{row}" for row in range(N)]).drop_columns(["label"]))
    write("partitions-differ/split=train/a.parquet", table())
    write("partitions-differ/fold=1/b.parquet", table(ids=[f"s{row}" for row in range(N)]))


main()
