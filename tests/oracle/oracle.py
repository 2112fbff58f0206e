"""What a pipeline must mine, from the definitions alone, held against what it did mine: to the row and to the bit.

    python oracle.py CASE.json

CASE.json: store, where (a Python condition on `row`), metric, margin, bands {name: count}, pick, fallback [name],
positives {pick, per_anchor, min_distance, max_distance, same}, negatives {same}, out (a finished Parquet output).
Whole matrices in numpy; nothing here is fast, shared with the program, or clever.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

BANDS = ["hard", "semi-hard", "easy"]


def fixed_order_sum(terms):
    """Sums the last axis in f32: lane i % 16 takes term i, one after the other; then the lanes fold in halves."""
    d = terms.shape[-1]
    sums = np.zeros(terms.shape[:-1] + (16,), np.float32)
    for start in range(0, d, 16):
        width = min(16, d - start)
        sums[..., :width] += terms[..., start : start + width]
    for width in (8, 4, 2, 1):
        sums = sums[..., :width] + sums[..., width:]
    return sums[..., 0]


def normalised(vectors):
    """Unit vectors: the norm in f64, summed from left to right; the quotient rounded to f32 once."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.cumsum(wide * wide, axis=1)[:, -1])
    return (wide / norms[:, None]).astype(np.float32)


def distances(vectors, metric):
    """n × n, f32."""
    if metric == "cosine":
        vectors = normalised(vectors)
    out = np.empty((len(vectors), len(vectors)), np.float32)
    for row, x in enumerate(vectors):
        if metric in ("cosine", "dot"):
            dots = fixed_order_sum(vectors * x)
            out[row] = np.clip(np.float32(1) - dots, 0, 2) if metric == "cosine" else -dots
        else:
            squares = fixed_order_sum((vectors - x) * (vectors - x))
            out[row] = np.sqrt(squares) if metric == "euclidean" else squares
    return out + np.float32(0)  # one zero only


def band_of(d_ap, d_an, margin):
    """0, 1, 2 for hard, semi-hard, easy."""
    gap = d_an.astype(np.float64) - np.float64(d_ap)
    return np.where(gap <= 0, 0, np.where(gap <= margin, 1, 2))


class Case:
    def __init__(self, case):
        self.case = case
        table = pq.read_table(case["store"])
        keep = np.array([eval(case.get("where", "True"), {"row": row}) for row in range(len(table))])
        self.source = np.flatnonzero(keep)  # row of the matrix → row of the store
        table = table.take(self.source)
        self.columns = {name: np.array(table[name].to_pylist(), object) for name in table.column_names if name != "embedding"}
        self.labels = self.columns["label"]
        vectors = np.array(table["embedding"].to_pylist(), np.float32)
        self.d = distances(vectors, case["metric"])

    def fits(self, role, anchor):
        """Rows that satisfy the constraints of a role."""
        fits = np.ones(len(self.labels), bool)
        for column in self.case.get(role, {}).get("same", []):
            fits &= self.columns[column] == self.columns[column][anchor]
        return fits

    def positives(self, anchor):
        """Admissible positives, nearest first."""
        asked = self.case["positives"]
        row = self.d[anchor]
        ok = (self.labels == self.labels[anchor]) & self.fits("positives", anchor)
        ok &= (row >= np.float32(asked.get("min_distance", -np.inf))) & (row <= np.float32(asked.get("max_distance", np.inf)))
        ok[anchor] = False
        rows = np.flatnonzero(ok)
        return rows[np.argsort(row[rows], kind="stable")]

    def chosen_positives(self, anchor, mined):
        """Those the pipeline chooses. What chance chose is taken from the output, and must be legal."""
        asked, rows = self.case["positives"], self.positives(anchor)
        limit = asked.get("per_anchor", 1)
        if asked["pick"] == "all":
            return rows
        if asked["pick"] == "nearest":
            return rows[:limit]
        if asked["pick"] == "hardest":
            return rows[np.argsort(-self.d[anchor][rows], kind="stable")][:limit] if len(rows) else rows
        assert np.isin(mined, rows).all(), f"anchor {self.source[anchor]}: a positive that is none"
        assert len(mined) <= limit, f"anchor {self.source[anchor]}: {len(mined)} positives"
        return mined

    def windows(self, anchor, positive, negatives):
        """For each band in the order of asking: (admissible rows, nearest first; how many; by fallback)."""
        band = band_of(self.d[anchor, positive], self.d[anchor, negatives], self.case["margin"])
        short = 0
        for index, name in enumerate(BANDS):
            if name in self.case["bands"]:
                rows, count = negatives[band == index], self.case["bands"][name]
                short += count - min(count, len(rows))
                yield index, rows, min(count, len(rows)), False
        for name in self.case.get("fallback", []):
            rows = negatives[band == BANDS.index(name)]
            count = min(short, len(rows))
            short -= count
            yield BANDS.index(name), rows, count, True

    def check(self):
        mined, unmined = self.read_output()
        nearest = self.case["pick"] == "nearest"
        checked = 0
        for anchor in range(len(self.labels)):
            own = mined.get(anchor, {})
            negatives = np.flatnonzero((self.labels != self.labels[anchor]) & self.fits("negatives", anchor))
            negatives = negatives[np.argsort(self.d[anchor][negatives], kind="stable")]
            for positive in self.chosen_positives(anchor, np.array(sorted(own), int)):
                lines = own.pop(int(positive), np.empty(0, LINE))
                where = f"anchor {self.source[anchor]}, positive {self.source[positive]}"
                assert (lines["d_ap"] == self.d[anchor, positive]).all(), f"{where}: d_ap"
                assert (lines["d_an"] == self.d[anchor, lines["n"]]).all(), f"{where}: d_an"
                total = 0
                for band, rows, count, fallback in self.windows(anchor, positive, negatives):
                    given = lines["n"][(lines["band"] == band) & (lines["fallback"] == fallback)]
                    total += len(given)
                    assert len(np.unique(given)) == len(given) == count, f"{where}: {len(given)} {BANDS[band]}, not {count}"
                    wanted = rows[:count] if nearest else rows
                    assert np.isin(given, wanted).all(), f"{where}: {self.source[given]}, expected {self.source[wanted]}"
                assert total == len(lines), f"{where}: {len(lines)} triplets, {total} expected"
                checked += total
            assert not own, f"anchor {self.source[anchor]}: positives {self.source[list(own)]} are none"
            assert unmined.pop(int(self.source[anchor]), None) == self.reason(anchor, mined), f"row {self.source[anchor]}: reason"
        assert not unmined, f"unmined rows that were not read: {unmined}"
        return checked

    def reason(self, anchor, mined):
        if (self.labels == self.labels[anchor]).sum() < 2:
            return "singleton"
        if len(self.positives(anchor)) == 0:
            return "no-positive"
        return None if anchor in mined else "band-empty"

    def read_output(self):
        """anchor → positive → its lines, in rows of the matrix; and row of the store → reason."""
        out = Path(self.case["out"])
        columns = ["anchor_row", "positive_row", "negative_row", "d_ap", "d_an", "band", "fallback"]
        parts = sorted((out / "triplets").glob("*.parquet"))
        table = pq.ParquetDataset(parts).read(columns=columns)
        place = np.full(self.source.max() + 1, -1)
        place[self.source] = np.arange(len(self.source))
        lines = np.empty(len(table), LINE)
        for name, column in zip("apn", columns):
            lines[name] = place[table[column].to_numpy()]
        lines["d_ap"], lines["d_an"] = table["d_ap"].to_numpy(), table["d_an"].to_numpy()
        lines["band"] = [BANDS.index(name) for name in table["band"].to_pylist()]
        lines["fallback"] = table["fallback"].to_numpy()
        lines.sort(order=["a", "p", "n"])
        mined = {}
        starts = np.flatnonzero(np.r_[True, np.diff(lines["a"]) != 0, True] | np.r_[True, np.diff(lines["p"]) != 0, True])
        for start, end in zip(starts[:-1], starts[1:]):
            mined.setdefault(int(lines["a"][start]), {})[int(lines["p"][start])] = lines[start:end]
        table = pq.read_table(out / "unmined.parquet")
        return mined, dict(zip(table["row"].to_pylist(), table["reason"].to_pylist()))


LINE = np.dtype(
    [("a", int), ("p", int), ("n", int), ("d_ap", np.float32), ("d_an", np.float32), ("band", int), ("fallback", bool)]
)

if __name__ == "__main__":
    try:
        checked = Case(json.loads(Path(sys.argv[1]).read_text())).check()
    except AssertionError as error:
        sys.exit(f"DIFFERS: {error}")
    print(f"{checked} triplets agree")
