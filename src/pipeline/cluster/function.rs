//! `mine_partition(folder, ordinal)`: the one function that scheduler and executors know beside their own. It mines a partition of
//! the run whose work order lies in a folder, commits it, and gives a line of JSON about it.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, UInt32Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde::Serialize;

use super::bench::Bench;

/// Precedes what an executor has to say, in an error that others have wrapped.
pub const SAYS: &str = "executor says: ";

/// The function; only an executor has a bench to do it at.
#[derive(Debug)]
struct MinePartition {
    bench: Option<Arc<Bench>>,
    signature: Signature,
}

/// What became of a partition.
#[derive(Serialize)]
struct Mined<'a> {
    ordinal: u32,
    triplets: u64,
    executor: &'a str,
}

/// The function as a scheduler knows it, or with a bench, as an executor does.
pub fn mine_partition(bench: Option<Arc<Bench>>) -> ScalarUDF {
    // Never folded into a constant where it is planned.
    let signature = Signature::exact(vec![DataType::Utf8, DataType::UInt32], Volatility::Volatile);
    MinePartition { bench, signature }.into()
}

impl ScalarUDFImpl for MinePartition {
    fn name(&self) -> &str {
        "mine_partition"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fail = |why: String| DataFusionError::Execution(format!("{SAYS}{why}"));
        let bench = self.bench.as_ref().ok_or_else(|| fail("partitions are mined by executors alone".to_owned()))?;
        let says = |why: String| fail(format!("{}: {why}", bench.executor()));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [folders, ordinals] = columns.as_slice() else {
            return Err(says(format!(
                "mine_partition of {} arguments; expected a folder and an ordinal",
                columns.len()
            )));
        };
        let (folders, ordinals) = (folders.as_string::<i32>(), ordinals.as_primitive::<UInt32Type>());
        let mine = |(folder, ordinal): (Option<&str>, Option<u32>)| {
            let (Some(folder), Some(ordinal)) = (folder, ordinal) else { return Ok(None) };
            let tally = bench.mine(Path::new(folder), ordinal).map_err(says)?;
            let mined = Mined { ordinal, triplets: tally.filled(), executor: bench.executor() };
            serde_json::to_string(&mined).map(Some).map_err(|error| says(error.to_string()))
        };
        let mined: StringArray = folders.iter().zip(ordinals).map(mine).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(mined) as ArrayRef))
    }
}

/// There is one function of this name.
impl PartialEq for MinePartition {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MinePartition {}

impl Hash for MinePartition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
