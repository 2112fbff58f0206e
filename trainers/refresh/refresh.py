"""Rounds of mining and training: mine, train, embed again, write Parquet, `miner run` again, and so on.

    MINER=target/release/miner python trainers/refresh/refresh.py
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cosine_similarity, relu

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from sample import MINED, SEEDS, Sample, split

digits = Sample("digits")
WORK = MINED / "refresh"
TRAIN = {"validation": "label < 5", "test": "label >= 5"}
ROUNDS, MARGIN = 5, 0.1
MINER = os.environ.get("MINER", "miner")


def write_store(embedded):
    """The sample with the model's embeddings in place of its own: n × d."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(embedded.ravel()), embedded.shape[1])
    table = pa.table({"id": range(len(embedded)), "label": digits.labels, "embedding": vectors})
    pq.write_table(table, WORK / "store.parquet")


def of_round(number):
    """Where a round's triplets are."""
    return WORK / f"round-{number}"


def mine(number):
    """Mines the store, and returns the triplets as rows: n × 3."""
    out = of_round(number)
    settings = ["--set", f"store.where={TRAIN[split()]}", "--set", f"output.path={out}"]
    command = [MINER, "run", HERE / "round.toml", *settings, "--overwrite", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table = pq.read_table(out / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def train(head, rows):
    """One pass over the triplets."""
    inputs, rows = torch.as_tensor(digits.vectors), torch.as_tensor(rows)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-4)
    for batch in torch.randperm(len(rows)).split(64):
        anchor, positive, negative = head(inputs[rows[batch]]).unbind(dim=1)
        gap = cosine_similarity(anchor, positive) - cosine_similarity(anchor, negative)
        optimizer.zero_grad()
        relu(MARGIN - gap).mean().backward()
        optimizer.step()


def churn(number):
    """Of the negatives of the round before, where both rounds have the pair, the share that this round has no more."""
    command = [MINER, "diff", of_round(number - 1), of_round(number), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["negatives"]["churn"]


def easy(rows, embedded):
    """The share of triplets without a loss: d(anchor, negative) > d(anchor, positive) + margin."""
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    anchor, positive, negative = (unit[rows[:, who]] for who in range(3))
    return np.mean((anchor * (positive - negative)).sum(axis=1) > MARGIN)


def rounds(seed):
    """Recall@1 on the held-out classes before and after every round, then churn and easy shares of the rounds: ROUNDS + 1 each."""
    torch.manual_seed(seed)  # the head, and the order of the triplets
    head = torch.nn.Linear(64, 8, bias=False)
    embed = lambda: head(torch.as_tensor(digits.vectors)).detach().numpy()
    recalls, churns, easies = [], [np.nan, np.nan], [np.nan]
    for number in range(1, ROUNDS + 1):
        write_store(embed())
        rows = mine(number)
        if number == 1:
            held_out = digits.held_out(rows)
            recalls.append(digits.recall_at_1(embed(), held_out))
        else:
            churns.append(churn(number))
        train(head, rows)
        easies.append(easy(rows, embed()))
        recalls.append(digits.recall_at_1(embed(), held_out))
    return recalls, churns, easies


def line(name, values, form):
    print(f"{name:<24}" + "".join(f"{'–' if np.isnan(value) else format(value, form):>11}" for value in values), flush=True)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    print(f"recall@1 on held-out classes ({split()})")
    print(f"{'seed':<24}" + "".join(f"{name:>11}" for name in ["untrained", *(f"round {n + 1}" for n in range(ROUNDS))]))
    results = []
    for seed in SEEDS:
        results.append(rounds(seed))
        line(str(seed), results[-1][0], ".3f")
    recalls, churns, easies = np.mean(results, axis=0)
    line("mean", recalls, ".3f")
    line("negatives replaced", churns, ".0%")
    line("easy once trained on", easies, ".0%")
    if not recalls[0] < recalls[1] < recalls[-1]:
        sys.exit("rounds of mining did not raise recall@1 on the mean")


if __name__ == "__main__":
    main()
