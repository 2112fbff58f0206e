//! Around decoders that are not ours: a damaged or forged file may make them panic, and that is a fault of the file.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

/// What `decode` gives, or why it panicked.
///
/// # Errors
/// When it panics. Nothing that it was working on may be used again.
pub fn shielded<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(told)
}

/// The same of a stream of batches: a panic ends it, as an error of which [`told_of_panic`] tells.
pub fn shielded_batches(batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let failed = |panic| Err(DataFusionError::External(Box::new(Panicked(told(panic)))));
    let batches = AssertUnwindSafe(batches).catch_unwind().map(move |batch| batch.unwrap_or_else(failed));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Why a decoder panicked, where that is the error.
pub fn told_of_panic(error: &(dyn Error + Send + Sync + 'static)) -> Option<String> {
    error.downcast_ref::<Panicked>().map(|Panicked(told)| told.clone())
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(String);

fn told(panic: Box<dyn Any + Send>) -> String {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("its decoder gave up: {message}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use datafusion::physical_plan::common::spawn_buffered;

    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(shielded(|| 1), Ok(1));
        let text = || -> u32 { panic!("page 3") };
        assert_eq!(shielded(text).unwrap_err(), "its decoder gave up: page 3");
    }

    #[test]
    fn batches_before_a_panic_come_before_it() {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let (schema, good) = (batch.schema(), batch.clone());
        let batches = futures::stream::iter(0..3).map(move |place| match place {
            2 => panic!("page {place}"),
            _ => Ok(good.clone()),
        });
        let batches = shielded_batches(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut found = runtime.block_on(async { spawn_buffered(batches, 8).collect::<Vec<_>>().await });
        let Some(Err(DataFusionError::External(error))) = found.pop() else { panic!("no error at the end") };
        assert_eq!(told_of_panic(error.as_ref()).unwrap(), "its decoder gave up: page 2");
        assert_eq!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [batch.clone(), batch]);
    }
}
