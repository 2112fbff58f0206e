"""sentence-transformers: its trainer takes the file as it is. The model, word pieces with a vector each, is made here: no download.

    miner run trainers/text.toml && python trainers/sentence_transformers_trainer.py
"""
import tempfile

import numpy as np
from datasets import Dataset, load_dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PrinterCallback, set_seed

import sample


def word_pieces(texts):
    """A tokenizer of 2,000 pieces, learned from the training texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=2000, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train(triplets, seed, epochs=3):
    """Trains a model on a Dataset of texts, and embeds the store with it."""
    set_seed(seed)
    pieces = word_pieces(sample.texts[sample.rows("train")].tolist())
    model = SentenceTransformer(modules=[StaticEmbedding(pieces, embedding_dim=128)], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder, num_train_epochs=epochs, per_device_train_batch_size=64, learning_rate=1e-2, seed=seed,
            save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
        )
        if epochs:
            trainer = SentenceTransformerTrainer(model, arguments, triplets, loss=TripletLoss(model, TripletDistanceMetric.COSINE, 0.3))
            trainer.remove_callback(PrinterCallback)
            trainer.train()
    return model.encode(list(sample.texts), show_progress_bar=False)


def random(anchors, seed):
    """Texts of random triplets of the same anchors."""
    row = {text: row for row, text in enumerate(sample.texts)}
    rows = sample.random_triplets(np.array([row[text] for text in anchors]), seed)
    return Dataset.from_dict(dict(zip(["anchor", "positive", "negative"], sample.texts[rows].T.tolist())))


if __name__ == "__main__":
    mined = load_dataset("parquet", data_files=str(sample.MINED / "text" / "triplets" / "*.parquet"), split="train")
    sample.compare(
        f"sentence_transformers_trainer: TripletLoss, {len(mined):,} triplets, 3 epochs",
        {
            "untrained": lambda seed: train(mined, seed, epochs=0),
            "random": lambda seed: train(random(mined["anchor"], seed), seed),
            "mined": lambda seed: train(mined, seed),
        },
    )
