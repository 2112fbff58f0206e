//! `miner scheduler`

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use triplet_miner::pipeline::{self, Control, SchedulerOptions};

use super::log::LogFlag;
use super::status::Status;
use super::tls::TlsFlags;
use super::{engine_log, progress, signals};

/// Hand out partitions to executors on other machines, for pipelines with run.engine = "df://HOST:PORT"
///
/// Runs until it is interrupted or terminated. Without certificates it does not ask who connects: let it listen where only machines
/// of the cluster can reach it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  miner scheduler --bind 10.0.0.1:50050")]
pub struct Args {
    /// Where to listen: an address or name of this machine; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050", value_parser = address)]
    bind: SocketAddr,
    /// Without a word for so many seconds (8 to 3600), an executor counts as lost, and others do what it was doing
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(8..=3_600))]
    timeout: u64,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    pub log: LogFlag,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found =
        text.to_socket_addrs().map_err(|error| format!("{error}; expected a host and a port, as in 10.0.0.1:50050"))?;
    found.into_iter().next().ok_or_else(|| "has no address".to_owned())
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    engine_log::begin();
    let progress = progress::choose(false, args.log.log);
    let control = Control { progress: progress.as_ref(), brake: signals::watch()? };
    let options = SchedulerOptions { bind: args.bind, tls: args.tls.tls(), timeout: Duration::from_secs(args.timeout) };
    pipeline::serve_scheduler(&options, &control)?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_of_this_machine_are_taken() {
        assert_eq!(address("10.0.0.1:50050").unwrap().to_string(), "10.0.0.1:50050");
        assert!(address("localhost:0").unwrap().ip().is_loopback());
        assert!(address("localhost").unwrap_err().contains("expected a host and a port"));
    }
}
