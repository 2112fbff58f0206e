//! Offline triplet mining: hard and semi-hard negatives from precomputed embeddings.
//!
//! ```text
//! Parquet ─ store ─▶ prepared store ─ search ─▶ fills ─ mine ─▶ triplets ─ manifest ─▶ OUT/
//! ```
//!
//! [`pipeline::run`] is this line, on one screen. The unit of work, of parallelism and of checkpoint is the partition:
//! consecutive anchors. Mining one is a pure function of the prepared store, the search and the request.
//!
//! # The rooms, from the roof down
//!
//! A room knows only rooms on lower floors; a test reads the `use` lines and says so.
//!
//! | floor | room | its question |
//! |---|---|---|
//! | 7 | `main.rs`, `cli/` (the binary) | What was typed, and what is printed? The only place that prints. |
//! | 6 | [`pipeline`] | What happens, in which order? |
//! | 5 | [`config`] | What was asked? After it no contradiction and no unknown name is left. |
//! | 4 | [`manifest`] | How is a result written, sealed, checked and compared? Nothing in it knows the time. |
//! | 4 | [`report`] | How did it go? |
//! | 4 | [`remote`] | Where does a file live that is not here? No request waits for ever, no message holds a secret. |
//! | 3 | [`mine`] | Which triplets? No I/O, no clock, no global state. |
//! | 2 | [`search`] | Which rows fill these windows? Never a wrong one; only completeness may be approximate. |
//! | 1 | [`store`] | What is in the store? After it no NaN, no ragged vector, no null id. |
//! | 0 | [`disk`] | What survives a crash? Files that are there whole or not at all. |
//! | 0 | [`kernel`] | How far apart are two vectors? Knows of nothing else. |
//! | 0 | [`words`] | How is a number told, or a word of somebody else's? |
//!
//! # Where a change goes
//!
//! A new metric begins in [`kernel::Metric`]; a new constraint in [`search::Rule`]; a new index implements
//! [`search::Search`] and is held to [`search::Brute`]; a new file format is one file in `manifest/format`; a new key of
//! the pipeline is a field of `config/spec.rs` and a check beside it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![warn(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_code)]

pub mod config;
pub mod disk;
pub mod kernel;
pub mod manifest;
pub mod mine;
pub mod pipeline;
pub mod remote;
pub mod report;
pub mod search;
pub mod store;
pub mod words;
