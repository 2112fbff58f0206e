//! Floor 7. *What does the user see?* One file a command. Results go to standard output, everything else to standard
//! error, and no other floor prints.

mod bug;
mod completions;
mod inspect;
mod output;
mod pipeline_file;
mod plan;
mod progress;
mod report;
mod run;
mod schema;
mod signals;
mod status;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use status::Status;

/// Mines triplets for metric learning from embeddings in Parquet.
///
/// A pipeline file says which embeddings, which triplets and where to; the triplets, and how complete they are, land in
/// one sealed folder.
#[derive(Debug, Parser)]
#[command(name = "miner", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  miner inspect embeddings.parquet --write mine.toml   look at the data, and begin a pipeline
  miner plan mine.toml                                 check it, and see what it will take
  miner run mine.toml                                  mine; the same command goes on after an interruption
  miner verify out/mine                                make every distance anew, and compare

Exit status: 0 done, 1 failed while running, 2 the pipeline or the command line is wrong, 3 the data was refused,
130 interrupted, 143 terminated.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Plan(plan::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Report(report::Args),
    /// Print the JSON Schema of a pipeline file, for editors
    #[command(after_help = "Example:\n  miner schema > pipeline.schema.json")]
    Schema,
    Completions(completions::Args),
}

/// The whole program.
pub fn main() -> ExitCode {
    // On a wrong command line clap says so and leaves with status 2.
    let cli = Cli::parse();
    let work = || {
        dispatch(&cli.command).unwrap_or_else(|error| {
            output::complain(&status::message(&error));
            status::excerpt(&error).into_iter().for_each(output::below);
            Status::of(&error)
        })
    };
    bug::guarded(work).into()
}

fn dispatch(command: &Command) -> anyhow::Result<Status> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Report(args) => report::run(args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn set_may_be_given_more_than_once() {
        let cli = Cli::try_parse_from(["miner", "run", "a.toml", "--set", "mine.seed=1", "--set", "name=x"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(args.pipeline.set, ["mine.seed=1", "name=x"]);
    }

    #[test]
    fn a_wrong_command_line_has_status_2() {
        for line in ["miner", "miner mine", "miner run", "miner plan a.toml --quiet"] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
