//! A run as another process sees it: store and index opened from what is kept, and the partitions mined as the run itself
//! would mine them.

use std::path::Path;

use anyhow::Context;

use super::order::WorkOrder;
use crate::mine::Quotas;
use crate::pipeline::partitions::Partitions;
use crate::pipeline::scratch::Kept;
use crate::store::Prepared;

/// Opens what the order in `folder` speaks of, on the threads of `pool`, and lends its partitions to `work`. What the search
/// derives from the store goes to the folder `spills`.
///
/// # Errors
/// When what the run keeps is not there, whole.
pub fn with_partitions<R>(
    folder: &Path,
    order: &WorkOrder,
    spills: &Path,
    pool: &rayon::ThreadPool,
    work: impl FnOnce(&Partitions) -> R,
) -> anyhow::Result<R> {
    let WorkOrder { params, .. } = order;
    let store = Prepared::open(&folder.join(&order.store))?.spilling_to(spills);
    let kept = Kept { cells: folder.join(&order.cells), graphs: folder.join(&order.graphs) };
    let open = || order.index.open(&store, params.negatives.unlabelled, &kept);
    let search = pool.install(open).context("the index of the run cannot be opened")?;
    let quotas = pool.install(|| Quotas::new(&store, params));
    let harvests = folder.join(&order.partitions);
    Ok(work(&Partitions::new(&store, search.as_ref(), params, &quotas, harvests)))
}
