#!/usr/bin/env bash
# Freezes outputs of the format of manifest.json that a program writes: make.sh MINER PYTHON FOLDER. What was frozen is never made
# again, since it stands for what users have: a later version of the format gets a folder of its own, named after it, that holds nothing
# but pipelines, those of the folder before and what is new. PYTHON has pyarrow.
set -euo pipefail
miner="$(realpath "$1")"
python="$2"
cd "$3"
[ "$(ls -A)" = "$(ls -- *.toml)" ] || { echo "$3: holds more than pipelines" >&2; exit 2; }

"$python" - "$OLDPWD/sample_data/digits.parquet" <<'PYTHON'
import sys
import numpy as np, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq

digits = pq.read_table(sys.argv[1])
words = "zero one two three four five six seven eight nine".split()
def part(rows, name):
    table = digits.take(pa.array(rows))
    label = table["label"].to_pylist()
    table = table.append_column("parity", pa.array([[words[x], "even" if x % 2 == 0 else "odd"] for x in label]))
    table = table.append_column("writer", pa.array([row % 7 for row in range(len(label))]))
    starts = ["a ", "=", "'", "é, \"", "a\n"] # What CSV and JSON have to quote, and what a spreadsheet takes for a formula.
    text = [f"{starts[row % len(starts)]}{words[x]} {row}" for row, x in enumerate(label)]
    table = table.append_column("text", pa.array(text))
    pq.write_table(table, name, compression="zstd")
    return table
store, queries = part(range(60), "store.parquet"), part(range(200, 212), "queries.parquet")
np.save("vectors.npy", np.array(store["embedding"].to_pylist(), "<f2"))
answers = [(q, i) for q, x in zip(queries["id"].to_pylist(), queries["label"].to_pylist())
           for i, y in zip(store["id"].to_pylist(), store["label"].to_pylist()) if x == y][::3]
pq.write_table(pa.table({"query_id": [q for q, _ in answers], "corpus_id": [i for _, i in answers]}), "pairs.parquet")
scored = [(q, i, 1.0 if (q, i) in answers else ((q * 31 + i * 17) % 100) / 100) for q in queries["id"].to_pylist() for i in store["id"].to_pylist()]
pq.write_table(pa.table(dict(zip(["anchor_id", "candidate_id", "score"], zip(*scored)))), "scores.parquet", compression="zstd")
PYTHON

for pipeline in *.toml; do
    FROZEN_DIGIT=seven "$miner" run "$pipeline" --quiet
    FROZEN_DIGIT=seven "$miner" verify "${pipeline%.toml}" --full
    rm "${pipeline%.toml}/report.html"
done
# Reports are large, and `miner report --html` makes the page again: that of an approximate run will do.
for output in */; do
    case "$output" in cells/) ;; *) rm "$output/report.json" ;; esac
done
rm -rf .*.miner
