//! One binary, so that the crate is linked once. What can be seen from outside is tested through the program itself.

mod bad_data;
mod balance;
mod balanced_layouts;
mod batches;
mod commands;
mod equivalence;
mod faults;
mod floors;
mod guards;
mod interrupted;
mod killed;
mod layouts;
mod memory;
mod oracle;
mod pipelines;
mod prepare;
mod queries;
mod readme;
mod retrieval;
mod search;
mod support;
mod tamper;
mod trouble;
mod twin;
