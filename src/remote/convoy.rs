//! Many files on their way to a store.

use futures::{StreamExt, TryStreamExt, stream};

/// Files on their way at once. A larger one than [`SMALL`] goes alone, in parts, of which several are on their way.
const IN_FLIGHT: usize = 4;
const SMALL: u64 = 8 << 20;

/// Lets `send` send each of these files, which have so many `bytes`: small ones several at a time, then each of the large ones alone.
///
/// # Errors
/// The first that `send` gives; what is not on its way by then is not sent.
pub async fn send_each<F, E>(
    files: Vec<F>,
    bytes: impl Fn(&F) -> u64,
    send: impl AsyncFn(F) -> Result<(), E>,
) -> Result<(), E> {
    let (small, large): (Vec<F>, Vec<F>) = files.into_iter().partition(|file| bytes(file) <= SMALL);
    stream::iter(small).map(|file| send(file)).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
    stream::iter(large).then(|file| send(file)).try_collect::<()>().await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::convert::Infallible;

    use futures::executor::block_on;

    use super::*;

    /// A future that is pending once.
    async fn turn() {
        let mut is_over = false;
        futures::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut is_over, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    #[test]
    fn small_files_go_together_and_large_ones_alone() {
        let (under_way, sent) = (Cell::new(0), RefCell::new(Vec::new()));
        let send = async |file: (u64, usize)| {
            under_way.set(under_way.get() + 1);
            turn().await;
            sent.borrow_mut().push((file, under_way.get()));
            turn().await;
            under_way.set(under_way.get() - 1);
            Ok::<(), Infallible>(())
        };
        let files: Vec<(u64, usize)> = [SMALL + 1, 1, 2, SMALL, 3, 4, u64::MAX]
            .into_iter()
            .enumerate()
            .map(|(name, bytes)| (bytes, name))
            .collect();
        block_on(send_each(files.clone(), |&(bytes, _)| bytes, send)).unwrap();
        let sent = sent.into_inner();
        let mut names: Vec<(u64, usize)> = sent.iter().map(|&(file, _)| file).collect();
        names.sort_unstable_by_key(|&(_, name)| name);
        assert_eq!(names, files);
        assert!(sent.iter().any(|&((bytes, _), together)| bytes <= SMALL && together == IN_FLIGHT), "{sent:?}");
        assert!(sent.iter().all(|&((bytes, _), together)| together == 1 || bytes <= SMALL), "{sent:?}");
    }

    #[test]
    fn the_first_that_fails_ends_it() {
        let sent = RefCell::new(Vec::new());
        let send = async |file: u64| {
            sent.borrow_mut().push(file);
            if file == 2 { Err(file) } else { Ok(()) }
        };
        assert_eq!(block_on(send_each(vec![SMALL + 1, 1, 2], |&bytes| bytes, send)), Err(2));
        assert!(!sent.borrow().contains(&(SMALL + 1)));
    }
}
