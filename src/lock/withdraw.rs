//! What happens to an ask that nobody waits for any more: it is taken back.
//!
//! Used by every strategy that asks a store. What exactly is taken back is theirs to say.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::runtime::Handle;

type Undo = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs `undo` when it is dropped, unless it was [`Withdraw::disarm`]ed.
///
/// `undo` is polled once within the drop, so that it takes its place among the store's moves before
/// anything asked later; the rest runs as a task. Without a runtime, what was asked lapses instead.
pub(super) struct Withdraw(Option<Undo>);

impl Withdraw {
    pub(super) fn new(undo: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(undo)))
    }

    /// The ask was answered with a grant: nothing to take back.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        let (Some(mut undo), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        let first = undo.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if first.is_pending() {
            runtime.spawn(undo);
        }
    }
}
