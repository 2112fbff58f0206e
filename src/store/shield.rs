//! Around decoders that are not ours: a damaged or forged file may make them panic, and that is a fault of the file.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// What `decode` gives, or why it panicked.
///
/// # Errors
/// When it panics. Nothing that it was working on may be used again.
pub fn shielded<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(told)
}

/// The same of a future.
///
/// # Errors
/// When it panics.
pub async fn shielded_future<F: Future>(decode: F) -> Result<F::Output, String> {
    AssertUnwindSafe(decode).catch_unwind().await.map_err(told)
}

fn told(panic: Box<dyn Any + Send>) -> String {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("its decoder gave up: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(shielded(|| 1), Ok(1));
        let text = || -> u32 { panic!("page 3") };
        assert_eq!(shielded(text).unwrap_err(), "its decoder gave up: page 3");
        let future = async { "x".parse::<usize>().expect("no number") };
        let told = futures::executor::block_on(shielded_future(future)).unwrap_err();
        assert!(told.starts_with("its decoder gave up: no number"), "{told}");
    }
}
