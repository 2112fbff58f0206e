//! Floor 7. *What does the user see?* One file a command. Results go to standard output, everything else to standard
//! error, and no other floor prints.

mod advance;
mod allocator;
mod bug;
mod completions;
mod diff;
#[cfg(feature = "cluster")]
mod engine_log;
#[cfg(feature = "cluster")]
mod executor;
mod inspect;
mod log;
mod man;
mod moved;
mod output;
mod pipeline_file;
mod plan;
mod progress;
mod recap;
mod report;
mod run;
#[cfg(feature = "cluster")]
mod scheduler;
mod schema;
mod signals;
mod status;
#[cfg(feature = "cluster")]
mod tls;
mod verify;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use log::Log;
use status::Status;

/// Mines triplets for metric learning from embeddings in Parquet.
///
/// A pipeline file says which embeddings, which triplets and where to; the triplets, and how complete they are, land in
/// one sealed folder.
#[derive(Debug, Parser)]
#[command(name = "miner", version, long_version = version::long(), after_help = EXAMPLES)]
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
  miner diff out/before out/after                      say what changed between two outputs

Exit status: 0 done, 1 failed while running, 2 the pipeline or the command line is wrong, 3 the data was refused,
130 interrupted, 143 terminated.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Plan(plan::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Report(report::Args),
    /// Print the JSON Schema of a pipeline file, for editors
    #[command(after_help = "Example:\n  miner schema > pipeline.schema.json")]
    Schema,
    Completions(completions::Args),
    Man(man::Args),
    #[cfg(feature = "cluster")]
    Scheduler(scheduler::Args),
    #[cfg(feature = "cluster")]
    Executor(executor::Args),
}

impl Command {
    /// What standard error is to hold, where a command is asked.
    fn log(&self) -> Log {
        match self {
            Self::Run(run::Args { log, .. })
            | Self::Verify(verify::Args { log, .. })
            | Self::Diff(diff::Args { log, .. }) => log.log,
            #[cfg(feature = "cluster")]
            Self::Scheduler(scheduler::Args { log, .. }) | Self::Executor(executor::Args { log, .. }) => log.log,
            _ => Log::Auto,
        }
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    allocator::give_back();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && log::is_asked_for(std::env::args_os()) => {
            log::begin(Log::Json);
            output::complain(&misspelled(&error), None, Status::Wrong);
            return Status::Wrong.into();
        }
        // Help, or what is wrong, in clap's own colours.
        Err(error) => error.exit(),
    };
    log::begin(cli.command.log());
    let work = || {
        dispatch(&cli.command).unwrap_or_else(|error| {
            let status = Status::of(&error);
            output::complain(&status::message(&error), status::excerpt(&error), status);
            status
        })
    };
    bug::guarded(work).into()
}

/// What clap says of a wrong command line, without the word that all errors begin with.
fn misspelled(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.trim_start_matches("error: ").trim_end().to_owned()
}

fn dispatch(command: &Command) -> anyhow::Result<Status> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Report(args) => report::run(args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        #[cfg(feature = "cluster")]
        Command::Scheduler(args) => scheduler::run(args),
        #[cfg(feature = "cluster")]
        Command::Executor(args) => executor::run(args),
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
