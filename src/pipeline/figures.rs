//! `miner report`: the figures of a finished output, wherever it lies.

use std::path::Path;

use anyhow::Context;

use super::engine::{Control, Engine};
use crate::remote::{Address, Remote, RemoteError};
use crate::report::{self, REPORT, REPORT_BYTES, ReportError, Summary};
use crate::words::without_credentials;

/// The figures of the output in a folder, or of one in a store, which `out` is the URL of.
///
/// # Errors
/// No report there, or none of this version; a store that refuses or does not answer.
pub fn figures(out: &Path, control: &Control) -> anyhow::Result<Summary> {
    match out.to_str().and_then(Address::parse) {
        None => Ok(report::read(out)?),
        Some(address) => {
            let shown = || without_credentials(&out.display().to_string()).into_owned();
            figures_in(&address.with_context(shown)?, &Engine::new(1, control)?)
        }
    }
}

/// The figures of an output in a store.
pub(super) fn figures_in(address: &Address, engine: &Engine) -> anyhow::Result<Summary> {
    let read = async { Remote::open(address)?.read(REPORT, REPORT_BYTES).await };
    let url = |address: &Address| address.to_string().into();
    match engine.wait::<_, RemoteError>(read)? {
        Some(text) => Ok(report::parse(&text, url(&address.join(REPORT)))?),
        None => Err(ReportError::Absent(url(address)).into()),
    }
}
