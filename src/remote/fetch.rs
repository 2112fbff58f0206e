//! Objects become files.

use std::ops::Range;
use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::GetOptions;

use super::arrivals::Arrivals;
use super::error::{Fault, RemoteError};
use super::object::{Object, Version};
use super::store::Remote;

/// A request asks for so many bytes: few enough that its time limit bounds a body that stalls, and that one cut short costs little.
const PIECE: u64 = 8 << 20;
/// So many are on their way at once; they are also what a fetch holds in memory.
const IN_FLIGHT: usize = 8;
/// Requests for what is left of one piece, where each before brought something.
const TRIES: usize = 8;

impl Remote {
    /// Fetches objects into `folder`, each under its name; whatever else is in the folder goes. `on_bytes` is told of each piece.
    ///
    /// What an earlier fetch has brought of the very same versions is not asked for again, and of an object that was on its way then,
    /// at most 64 MiB.
    ///
    /// # Errors
    /// An object that has changed since it was listed, is gone, or is refused; a store that does not answer; a full disk.
    pub async fn fetch(
        &self,
        objects: &[Object],
        folder: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RemoteError> {
        let at = self.location("")?;
        let io = |source| self.failed(&at, "fetched", Fault::Io { path: folder.to_owned(), source });
        let mut arrivals = Arrivals::open(folder, objects).map_err(io)?;
        let mut missing = Vec::new();
        for object in objects {
            let arrived = arrivals.arrived(object).map_err(io)?;
            on_bytes(arrived);
            if arrived < object.bytes || object.bytes == 0 {
                missing.push((object, arrived));
            }
        }
        // The one that was on its way goes on before another takes its place.
        missing.sort_by_key(|(_, arrived)| *arrived == 0);
        let pieces = missing
            .iter()
            .flat_map(|(object, arrived)| pieces(*arrived..object.bytes).map(move |range| self.piece(object, range)));
        let mut pieces = stream::iter(pieces).buffered(IN_FLIGHT);
        while let Some((object, bytes)) = pieces.try_next().await? {
            arrivals.write(object, &bytes).map_err(io)?;
            on_bytes(bytes.len() as u64);
        }
        Ok(())
    }

    /// A few bytes of an object. What has come of them before an answer broke off is not asked for again.
    async fn piece<'a>(&self, object: &'a Object, range: Range<u64>) -> Result<(&'a Object, Vec<u8>), RemoteError> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for tried in 1.. {
            let before = bytes.len();
            let rest = range.start + before as u64..range.end;
            if rest.is_empty() {
                break;
            }
            match self.append(object, rest, &mut bytes).await {
                Ok(()) => {}
                Err(fault) if fault.may_pass() && bytes.len() > before && tried < TRIES => {}
                Err(fault) => return Err(self.failed(&object.location, "fetched", fault)),
            }
        }
        Ok((object, bytes))
    }

    /// Asks for a range of an object, once (but for what the store's client tries again), and puts what comes behind `bytes`.
    async fn append(&self, object: &Object, range: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = |error| Fault::of(self.address().kind(), &error);
        let end = bytes.len() + (range.end - range.start) as usize;
        let options = GetOptions::new().with_range(Some(range)).with_if_match(object.version.pin());
        let answer = self.store.get_opts(&object.location, options).await.map_err(fault)?;
        if answer.meta.size != object.bytes || object.version.contradicts(&Version::of(&answer.meta)) {
            return Err(Fault::Changed);
        }
        let mut body = answer.into_stream();
        while let Some(next) = body.try_next().await.map_err(fault)? {
            let room = end - bytes.len();
            bytes.extend_from_slice(&next[..next.len().min(room)]);
        }
        if bytes.len() < end { Err(Fault::Cut) } else { Ok(()) }
    }
}

/// Cuts a range; an empty one is one piece, too.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let count = (range.end - range.start).div_ceil(PIECE).max(1);
    (0..count).map(move |piece| {
        let start = range.start + piece * PIECE;
        start..(start + PIECE).min(range.end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_once() {
        for (range, expected) in [
            (0..0, &[(0, 0)][..]),
            (0..5, &[(0, 5)]),
            (3..PIECE + 3, &[(3, PIECE + 3)]),
            (0..2 * PIECE + 1, &[(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, 2 * PIECE + 1)]),
        ] {
            let found: Vec<_> = pieces(range).map(|piece| (piece.start, piece.end)).collect();
            assert_eq!(found, expected);
        }
    }
}
