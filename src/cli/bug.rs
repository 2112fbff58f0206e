//! The last line of defence: what should never happen is told as what it is, a bug, and where.
//!
//! Panics inside decoders of files are caught where they happen, see the store; they are told as faults of the file.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

use triplet_miner::config::Environment;
use triplet_miner::words::visible;

use super::output;
use super::status::Status;

/// The latest panics: what was said, and where. One that was caught is among them, so the newest need not be the one looked for.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
const KEPT: usize = 8;

/// Whose values a panic's words must not tell.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// From now on no complaint tells these values.
pub fn hide(environment: &Environment) {
    *ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(environment.clone());
}

/// Does `work`. A panic in it, on whatever thread, is complained of as a bug.
pub fn guarded(work: impl FnOnce() -> Status) -> Status {
    set_hook(Box::new(remember));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        output::complain(&complaint(&said(panic.as_ref())), None, Status::Failed);
        Status::Failed
    })
}

/// Prints nothing: what is caught is told by whoever catches it.
fn remember(panic: &PanicHookInfo<'_>) {
    let trace = Backtrace::capture();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let place = match trace.status() {
        BacktraceStatus::Captured => format!("{place}\n{trace}"),
        _ => place,
    };
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    if panics.len() == KEPT {
        panics.remove(0);
    }
    panics.push((said(panic.payload()), place));
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

fn complaint(said: &str) -> String {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = panics.iter().rev().find(|(words, _)| words == said).map(|(_, place)| format!(" at {place}"));
    let told = format!(
        "this is a bug in miner {}: {}{}
No output was sealed. Please report this with the pipeline; RUST_BACKTRACE=1 tells more.",
        env!("CARGO_PKG_VERSION"),
        visible(said),
        place.unwrap_or_default()
    );
    let environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    environment.as_ref().map_or_else(|| told.clone(), |environment| environment.hide(&told).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_any_thread_ends_as_a_failure_with_its_place() {
        assert_eq!(guarded(|| Status::Done), Status::Done);
        let on_a_thread = || -> Status { rayon::join(|| Status::Done, || panic!("row {} of 8", 9)).1 };
        assert_eq!(guarded(on_a_thread), Status::Failed);
        let told = complaint("row 9 of 8");
        assert!(
            told.starts_with("this is a bug in miner ") && told.contains(": row 9 of 8 at src/cli/bug.rs:"),
            "{told}"
        );
        let _ = std::panic::take_hook();
    }
}
