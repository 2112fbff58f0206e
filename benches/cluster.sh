#!/usr/bin/env bash
# What a cluster costs: the same job by two threads of one process, and by two executors of one slot each, in turn, on this machine.
#   cluster.sh MINER [--rows N] [--dims N] [--index exact|cells|hnsw] [--repeat N]
# MINER is a binary with the feature `cluster`; nothing is built. Needs a Python with numpy and pyarrow: PYTHON, or python3.
set -euo pipefail
miner=$(realpath "${1:?which binary?}"); shift
rows=260000 dims=64 index=exact repeat=5
while [[ $# -gt 0 ]]; do
    case $1 in
        --rows) rows=$2 ;;
        --dims) dims=$2 ;;
        --index) index=$2 ;;
        --repeat) repeat=$2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done
python=${PYTHON:-python3}
room=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$room"' EXIT
mkdir "$room/work"

"$python" - "$room/store.parquet" "$rows" "$dims" <<'PYTHON'
import sys
import numpy, pyarrow, pyarrow.parquet
path, rows, dims = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = numpy.random.default_rng(5)
labels = draw.integers(0, rows // 50, rows)
centres = draw.standard_normal((rows // 50, dims), dtype=numpy.float32)
vectors = centres[labels] + draw.standard_normal((rows, dims), dtype=numpy.float32)
embedding = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), dims)
pyarrow.parquet.write_table(pyarrow.table({"label": labels, "embedding": embedding}), path)
PYTHON
cat > "$room/p.toml" <<TOML
store = { path = "store.parquet", embedding = "embedding", label = "label" }
mine.bands = { hard = 4, semi-hard = 4 }
search.index = "$index"
output.path = "out"
TOML

"$miner" scheduler --bind 127.0.0.1:0 2>"$room/scheduler.log" & pids+=($!)
until address=$(grep -o 'df://.*' "$room/scheduler.log" 2>/dev/null); do sleep 0.1; done
for _ in 1 2; do
    "$miner" executor --scheduler "${address#df://}" --work "$room/work" --scratch "$room" --slots 1 2>>"$room/executor.log" &
    pids+=($!)
done
sleep 1

once() { # NAME, options of the run
    local name=$1 begun=$EPOCHREALTIME; shift
    rm -rf "$room/out" "$room"/work/.[!.]*
    "$miner" run "$room/p.toml" --quiet "$@" >/dev/null
    "$python" - "$name" "$begun" "$EPOCHREALTIME" "$room/out/report.json" <<'PYTHON' | tee -a "$room/times"
import json, sys
name, begun, ended, report = sys.argv[1:]
stages = json.load(open(report))["stages"]
mining = sum(stage["seconds"] for stage in stages if stage["name"] in ("graphs", "index", "mine"))
print(f"{name} {float(ended) - float(begun):.2f} {mining:.2f}")
PYTHON
}
for ((at = 1; at <= repeat; at++)); do
    once threads --threads 2
    once executors --set "run.engine=$address" --set "run.work=$room/work"
done
"$python" - "$room/times" <<'PYTHON'
import statistics, sys
times = [line.split() for line in open(sys.argv[1])]
median = lambda name, at: statistics.median(float(time[at]) for time in times if time[0] == name)
for at, what in ((1, "the whole process"), (2, "index and mining")):
    threads, executors = median("threads", at), median("executors", at)
    print(f"{what}: 2 threads {threads:.2f} s, 2 executors {executors:.2f} s, throughput {threads / executors:.2f} of it")
PYTHON
