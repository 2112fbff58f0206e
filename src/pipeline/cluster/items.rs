//! The work that is handed out: a table of numbers of items, each partition of which is a task of its own. It travels in the plan, so
//! that a scheduler needs no folder.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, TableReference, not_impl_err};
use datafusion::datasource::MemTable;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use serde::{Deserialize, Serialize};

/// The column of the table.
pub const NUMBER: &str = "number";

/// Tasks of a job, at most: a scheduler looks at all of them whenever it hands one out. So many keep a thousand cores busy, and
/// leave little to wait for at the end.
const TASKS: usize = 4_096;

static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new(NUMBER, DataType::UInt32, false)])));

/// Numbers of items, by task; also how their table travels: whoever hands them out writes them into the plan, and a scheduler, which
/// has none itself, finds those of the plan.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items(Vec<Vec<u32>>);

impl Items {
    pub fn of(numbers: &[u32]) -> Self {
        let chunks = numbers.chunks(numbers.len().div_ceil(TASKS).max(1));
        Self(chunks.map(<[u32]>::to_vec).collect())
    }

    pub fn tasks(&self) -> usize {
        self.0.len()
    }

    pub fn table(&self) -> Result<Arc<dyn TableProvider>> {
        let partition = |numbers: &Vec<u32>| {
            let column = Arc::new(UInt32Array::from(numbers.clone()));
            Ok(vec![RecordBatch::try_new(SCHEMA.clone(), vec![column])?])
        };
        Ok(Arc::new(MemTable::try_new(SCHEMA.clone(), self.0.iter().map(partition).collect::<Result<_>>()?)?))
    }
}

impl LogicalExtensionCodec for Items {
    fn try_encode_table_provider(
        &self,
        _: &TableReference,
        _: Arc<dyn TableProvider>,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        serde_json::to_writer(bytes, self).map_err(|error| DataFusionError::External(error.into()))
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        _: &TableReference,
        _: SchemaRef,
        _: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        serde_json::from_slice::<Self>(bytes).map_err(|error| DataFusionError::External(error.into()))?.table()
    }

    fn try_encode(&self, _: &Extension, _: &mut Vec<u8>) -> Result<()> {
        not_impl_err!("the work of a run is a table of items, and nothing else")
    }

    fn try_decode(&self, _: &[u8], _: &[LogicalPlan], _: &TaskContext) -> Result<Extension> {
        not_impl_err!("this scheduler hands out the work of runs, and nothing else")
    }
}
