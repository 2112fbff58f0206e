//! `miner`: argv in, exit status out.

#![warn(clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
