"""Writes scores.parquet: python sample_data/scores.py OUT SCORES (needs pyarrow), OUT as pipelines/question-passage-candidates.toml made it.

Stands where a reranker would, and is none: no model reads the texts. A passage's score is how near the dictionary puts it to an
answer of the question: 1 an answer itself, 0.6 a definition of the same class (`label`), 0.3 of the same family, else 0.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SAMPLE = Path(__file__).parent


def main(out, scores):
    glosses = pq.read_table(SAMPLE / "glosses.parquet", columns=["id", "label", "family"]).to_pylist()
    place = {gloss["id"]: (gloss["label"], gloss["family"]) for gloss in glosses}
    answers = {}
    for pair in pq.read_table(SAMPLE / "qrels.parquet").to_pylist():
        answers.setdefault(pair["query_id"], set()).add(pair["corpus_id"])

    def score(question, passage):
        if passage in answers[question]:
            return 1.0
        label, family = place[passage]
        places = [place[answer] for answer in answers[question]]
        return 0.6 if label in {p[0] for p in places} else 0.3 if family in {p[1] for p in places} else 0.0

    candidates = pq.read_table(Path(out) / "triplets", columns=["anchor_id", "candidate_id"])
    questions, passages = (column.to_pylist() for column in candidates.columns)
    values = pa.array(map(score, questions, passages), pa.float32())
    pq.write_table(candidates.append_column("score", values), scores, compression="zstd")


main(*sys.argv[1:])
