pub mod config;
pub mod kernel;
pub mod manifest;
pub mod mine;
pub mod pipeline;
pub mod report;
pub mod search;
pub mod store;
