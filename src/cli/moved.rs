//! Where the inputs of an output are now, as several commands take it.

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::config::Moved;

#[derive(Debug, clap::Args)]
pub struct MovedFlags {
    /// Where the store is now, if it has moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    store: Option<PathBuf>,
    /// Where the queries are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    queries: Option<PathBuf>,
    /// Where the pairs are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pairs: Option<PathBuf>,
    /// Where the scores are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    scores: Option<PathBuf>,
    /// Where the arrays of the store's vectors are now, if they have moved; one option for each
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    vectors: Vec<PathBuf>,
    /// Where the arrays of the queries' vectors are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    query_vectors: Vec<PathBuf>,
    /// Where the earlier outputs of mine.negatives.exclude are now, if one has moved: each of them, in order
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    exclude: Vec<PathBuf>,
}

impl MovedFlags {
    pub fn moved(&self) -> Moved {
        let Self { store, queries, pairs, scores, vectors, query_vectors, exclude } = self;
        Moved {
            store: store.clone(),
            queries: queries.clone(),
            pairs: pairs.clone(),
            scores: scores.clone(),
            vectors: vectors.clone(),
            query_vectors: query_vectors.clone(),
            exclude: exclude.clone(),
        }
    }

    /// Whether any was given.
    pub fn any(&self) -> bool {
        [&self.store, &self.queries, &self.pairs, &self.scores].into_iter().any(Option::is_some)
            || [&self.vectors, &self.query_vectors, &self.exclude].into_iter().any(|places| !places.is_empty())
    }
}
