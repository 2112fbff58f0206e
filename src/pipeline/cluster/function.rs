//! `settle_item(folder, number)`: the one function that scheduler and executors know beside their own. It does an item of the work
//! order that lies in a folder (mines a partition, builds a graph), commits it, and gives a line of JSON about it.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, UInt32Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde::Serialize;

use super::bench::Unsettled;
use super::desk::Desk;

/// Precedes what an executor has to say, in an error that others have wrapped.
pub const SAYS: &str = "executor says: ";
/// The same, of one that the work is not for.
pub const REFUSES: &str = "executor refuses: ";

/// The function; only an executor has a desk to do it at.
#[derive(Debug)]
struct SettleItem {
    desk: Option<Arc<Desk>>,
    signature: Signature,
}

/// What became of an item.
#[derive(Serialize)]
struct Settled<'a> {
    item: u32,
    /// Triplets of a partition, rows of a graph.
    came_to: u64,
    executor: &'a str,
}

/// The function as a scheduler knows it, or with a desk, as an executor does.
pub fn settle_item(desk: Option<Arc<Desk>>) -> ScalarUDF {
    // Never folded into a constant where it is planned.
    let signature = Signature::exact(vec![DataType::Utf8, DataType::UInt32], Volatility::Volatile);
    SettleItem { desk, signature }.into()
}

impl ScalarUDFImpl for SettleItem {
    fn name(&self) -> &str {
        "settle_item"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fail = |why: String| DataFusionError::Execution(format!("{SAYS}{why}"));
        let desk = self.desk.as_ref().ok_or_else(|| fail("work is done by executors alone".to_owned()))?;
        let says = |why: String| fail(format!("{}: {why}", desk.executor()));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [folders, numbers] = columns.as_slice() else {
            return Err(says(format!("settle_item of {} arguments; expected a folder and a number", columns.len())));
        };
        let (folders, numbers) = (folders.as_string::<i32>(), numbers.as_primitive::<UInt32Type>());
        let settle = |(folder, item): (Option<&str>, Option<u32>)| {
            let (Some(folder), Some(item)) = (folder, item) else { return Ok(None) };
            let came_to = desk.settle(Path::new(folder), item).map_err(|unsettled| match unsettled {
                Unsettled::Refused(why) | Unsettled::Gone(why) => {
                    DataFusionError::Execution(format!("{REFUSES}{}: {why}", desk.executor()))
                }
                Unsettled::Failed(why) => says(why),
            })?;
            let settled = Settled { item, came_to, executor: desk.executor() };
            serde_json::to_string(&settled).map(Some).map_err(|error| says(error.to_string()))
        };
        let settled: StringArray = folders.iter().zip(numbers).map(settle).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(settled) as ArrayRef))
    }
}

/// There is one function of this name.
impl PartialEq for SettleItem {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SettleItem {}

impl Hash for SettleItem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
