"""Times miner and its peers on the same job, each in a process of its own, and prints one table. Started by run.sh.

Only the standard library is imported: a child begins with the parent's size, and its peak memory is to be its own.
"""
import argparse
import json
import math
import os
import platform
import select
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
MIB = 1 << 20

# File, job, rows to fetch from a top-k index, and who runs. Where a class has 7,000 rows a graph would have to fetch
# thousands as well, which it is not made for.
TOP_K = ["faiss-flat", "faiss-hnsw", "faiss-ivf", "hnswlib"]
STORES = {
    "glove": ("glove100", "bands", 64, ["miner-exact", "miner-cells", *TOP_K, "sentence-transformers",
                                        "pytorch-metric-learning", "numpy-product"]),
    "nearest": ("glove100", "nearest", 64, ["miner-exact", "miner-cells", *TOP_K]),
    "fashion": ("fashion128", "bands", 2048, ["miner-exact", "faiss-flat", "numpy-product"]),
}
TORCH = {
    "sentence-transformers": "sentence_transformers_top.py",
    "pytorch-metric-learning": "metric_learning_batches.py",
}
GROWTH = [100_000, 1_000_000, 10_000_000]


def options():
    parser = argparse.ArgumentParser(prog="run.sh [OUT_DIR]")
    parser.add_argument("out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=int, help="runs of each contender, in turn (3; with --growth 1)")
    parser.add_argument("--only", action="append", metavar="NAME", help="part of STORE/CONTENDER; may be repeated")
    parser.add_argument("--with-torch", action="store_true", help="also the peers that need torch (6 GB to install)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contender (all cores)")
    parser.add_argument("--rows", type=int, help="only the first rows of each store: a trial, no measurement")
    parser.add_argument("--growth", type=int, nargs="*", metavar="ROWS", help="miner alone, on 100k, 1M and 10M rows")
    parser.add_argument("--miner", type=Path, help="the binary (target/release/miner, built when absent)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run of miner")
    return parser.parse_args()


def miner_binary(given):
    if given:
        return given.resolve()
    binary = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release" / "miner"
    if not binary.exists():
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "miner"], cwd=REPOSITORY, check=True)
    return binary


def environment(threads):
    # OPENBLAS_CORETYPE and its like force kernels that are not the machine's best.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return kept | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"}


def anonymous_memory(pid):
    """Memory of a process that no file backs, in bytes; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


def measure(command, log, env):
    """Runs a command: seconds from start to exit, peak resident and (sampled) anonymous memory, standard output."""
    anonymous = 0
    with open(log, "w+") as output, open(log.with_suffix(".err"), "w") as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=errors, env=env)
        ended = os.pidfd_open(process.pid)
        while not select.select([ended], [], [], 0.05)[0]:
            anonymous = max(anonymous, anonymous_memory(process.pid))
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        os.close(ended)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}, see {log.with_suffix('.err')}")
    return {"seconds": seconds, "peak_resident": usage.ru_maxrss * 1024, "peak_anonymous": anonymous}, text


def ask(command):
    words = [str(part) for part in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {' '.join(words)}")
    return done.stdout.strip()


class Bench:
    def __init__(self, given):
        self.given, self.out = given, given.out
        self.miner = miner_binary(given.miner)
        self.env = environment(given.threads)
        self.logs, self.runs = self.out / "logs", self.out / "runs"
        self.logs.mkdir(exist_ok=True)
        self.runs.mkdir(exist_ok=True)

    def mine(self, pipeline, store, out):
        sets = [f"store.path={store}", f"output.path={out}", *self.given.set]
        command = [self.miner, "run", HERE / "pipelines" / f"{pipeline}.toml", "--overwrite", "--quiet"]
        return [*command, "--threads", self.given.threads, *(part for key in sets for part in ("--set", key))]

    def python(self, script, *arguments):
        return [sys.executable, HERE / script, *arguments]

    def clear(self, out):
        """Nothing of an earlier run is left: neither its output nor, of an interrupted one, the work that is gone on with."""
        scratch = out.with_name(f".{out.name}.miner")
        for path in (out, scratch):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def command(self, name, store, path, asked, out):
        pairs = self.out / f"pairs-{store}.parquet"
        if name.startswith("miner-"):
            return self.mine(f"{store}-{name.removeprefix('miner-')}", path, out)
        if name == "numpy-product":
            return self.python("product.py", path, pairs)
        if name in TORCH:
            return self.python(TORCH[name], path, pairs, out)
        return self.python("top_k.py", name, path, pairs, out, *asked)

    def selected(self, store, names):
        only = self.given.only or [""]
        names = [name for name in names if any(part in f"{store}/{name}" for part in only)]
        return [name for name in names if name not in TORCH or self.given.with_torch]

    def stored(self, name):
        path = self.out / "stores" / f"{name}.parquet"
        if not self.given.rows:
            return path
        part = self.out / "stores" / f"{name}-{self.given.rows}.parquet"
        ask(self.python("stores.py", "head", path, part, "--rows", self.given.rows))
        return part

    def compare(self, store):
        """Every selected contender on one store, in turn, so that a slow quarter of an hour is shared by all."""
        file, kind, k, names = STORES[store]
        names = self.selected(store, names)
        if not names:
            return []
        path, exact = self.stored(file), self.out / f"exact-{store}"
        self.clear(exact)
        ask(self.mine(f"{store}-exact", path, exact))
        ask(self.python("score.py", "pairs", path, exact / "triplets", self.out / f"pairs-{store}.parquet"))
        results = {name: {"store": store, "contender": name, "runs": []} for name in names}
        for turn in range(self.given.repeat or 3):
            for name, result in results.items():
                if "error" in result:
                    continue
                print(f"{store}/{name}, run {turn + 1}", file=sys.stderr, flush=True)
                try:
                    self.run(result, name, store, path, (k, kind), exact)
                except RuntimeError as error:
                    result["error"] = str(error)
                    print(f"  {error}", file=sys.stderr)
        return list(results.values())

    def run(self, result, name, store, path, asked, exact):
        out = self.runs / f"{store}-{name}"
        self.clear(out)
        figures, text = measure(self.command(name, store, path, asked, out), self.logs / f"{store}-{name}.txt", self.env)
        if name.startswith("miner-"):
            report = json.loads((out / "report.json").read_text())
            figures["stages"] = {stage["name"]: stage["seconds"] for stage in report["stages"]}
            result["measured_recall"] = report.get("recall")
            result["versions"] = {"miner": ask([self.miner, "-V"]).split()[-1]}
        else:
            said = json.loads(text.splitlines()[-1])
            figures["stages"], result["versions"] = said["stages"], said["versions"]
        result["runs"].append(figures)
        if name != "numpy-product" and "recall" not in result:
            found = out / "triplets" if out.is_dir() else out
            result |= json.loads(ask(self.python("score.py", "recall", exact / "triplets", found)))

    def grow(self, sizes):
        """miner with cells on ever larger stores."""
        results = []
        for rows in sizes:
            path = self.out / "stores" / f"growth-{rows}.parquet"
            if not path.exists():
                glove = self.out / "stores" / "glove100.parquet"
                print(ask(self.python("stores.py", "enlarge", glove, path, "--rows", rows)), file=sys.stderr)
            result = {"rows": rows, "runs": []}
            for _ in range(self.given.repeat or 1):
                out = self.runs / "growth"
                self.clear(out)
                figures, _ = measure(self.mine("growth", path, out), self.logs / f"growth-{rows}.txt", self.env)
                result["runs"].append(figures)
                result["report"] = json.loads((out / "report.json").read_text())
            results.append(result)
        return results


def seconds(result):
    """Median and least; of the bare product only the product counts."""
    if result["contender"] == "numpy-product":
        times = [run["stages"]["product"] for run in result["runs"]]
    else:
        times = [run["seconds"] for run in result["runs"]]
    return statistics.median(times), min(times)


def largest(result, kind):
    return f"{max(run[kind] for run in result['runs']) / MIB:,.0f} MiB"


def markdown(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def comparison(results):
    head = ["contender", "seconds", "least", "÷ miner exact", "÷ miner cells", "filled", "found", "hard found",
            "semi-hard found", "peak memory", "versions"]
    done = {(r["store"], r["contender"]): seconds(r)[0] for r in results if "error" not in r}
    rows = []
    for result in results:
        name = f"{result['store']}: {result['contender']}"
        if "error" in result:
            rows.append([name, f"failed: {result['error']}"] + [""] * (len(head) - 2))
            continue
        median, least = seconds(result)
        ratios = [done.get((result["store"], f"miner-{index}")) for index in ("exact", "cells")]
        slots = [""] * 4
        if "recall" in result:
            shares = [result["recall_all"], *(result["recall"].get(band) for band in ("hard", "semi-hard"))]
            slots = [f"{result['filled']:,}", *(f"{100 * share:.2f} %" if share is not None else "" for share in shares)]
        versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
        times = [f"{median:.2f}", f"{least:.2f}", *(f"{median / ratio:.2f}" if ratio else "" for ratio in ratios)]
        rows.append([name, *times, *slots, largest(result, "peak_resident"), versions])
    return markdown(head, rows)


def growth(results):
    head = ["rows", "anchors", "seconds", "exponent", "peak memory", "of it anonymous", "recall measured"]
    rows, before = [], None
    for result in results:
        median = statistics.median(run["seconds"] for run in result["runs"])
        step = ""
        if before:
            step = f"{math.log(median / before[1]) / math.log(result['rows'] / before[0]):.2f}"
        before = result["rows"], median
        recall = result["report"].get("recall")
        measured = f"{recall['estimate']:.4f} ({recall['low']:.4f} to {recall['high']:.4f})" if recall else ""
        rows.append([f"{result['rows']:,}", f"{result['report']['anchors']:,}", f"{median:.2f}", step,
                     largest(result, "peak_resident"), largest(result, "peak_anonymous"), measured])
    return markdown(head, rows)


def machine(threads):
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    commit = ask(["git", "-C", REPOSITORY, "describe", "--always", "--dirty"])
    return (f"{model}, {os.cpu_count()} cores, {threads} threads used, {memory:.0f} GiB, load {os.getloadavg()[0]:.2f} "
            f"before, {time.strftime('%Y-%m-%d')}, miner at {commit}")


def main():
    given = options()
    about = machine(given.threads)
    bench = Bench(given)
    if given.growth is None:
        kind, results = "peers", [result for store in STORES for result in bench.compare(store)]
        table = comparison(results)
    else:
        kind, results = "growth", bench.grow(given.growth or GROWTH)
        table = growth(results)
    trial = f"\n\nThe first {given.rows:,} rows only: a trial." if given.rows else ""
    text = f"{table}\n\n{about}.{trial}"
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
    numbers = {"machine": about, "options": asked, "results": results}
    (given.out / f"{kind}.json").write_text(json.dumps(numbers, indent=1))
    (given.out / f"{kind}.md").write_text(text + "\n")
    print(text)
    return any("error" in result for result in results)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"error: {error}")
