//! What Redis says unasked on a link: a grant for somebody here, or that the connection has ended.
//!
//! Heard within redis-rs's connection task, so a hand-over crosses no task between the socket and
//! its waiter. Nothing is asked of Redis here; what calls for that is left to the keeper in
//! `mod.rs`.

use std::sync::Arc;

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::UnboundedSender;

use super::super::Key;
use super::super::lease_store::Grant;
use super::super::waiters::Waiters;

/// What the keeper has to act on.
pub(super) enum News {
    /// A grant for which nobody here waits (any more): it belongs to the next in line.
    Unclaimed(Grant),
    /// The link is of no use any more.
    Broken,
}

/// Hears the pushes of one link. The keeper who lets go of the other end of `news` makes it deaf:
/// a connection that outlives its link hands nothing out.
pub(super) struct Ear {
    pub(super) waiters: Arc<Waiters>,
    pub(super) news: UnboundedSender<News>,
}

impl AsyncPushSender for Ear {
    /// Never waits, since every reply of the connection would wait with it.
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        if self.news.is_closed() {
            return Err(SendError);
        }
        let news = match push.kind {
            PushKind::Message => match granted(&push.data) {
                Some(grant) if !self.waiters.deliver(grant.clone()) => News::Unclaimed(grant),
                _ => return Ok(()),
            },
            PushKind::Disconnection => News::Broken,
            _ => return Ok(()),
        };
        self.news.send(news).map_err(|_| SendError)
    }
}

/// Reads a push of `common.lua`, as (channel, payload). The payload is `ticket token length-of-key
/// key request`, the last two joined.
fn granted(message: &[Value]) -> Option<Grant> {
    let [_, Value::BulkString(payload)] = message else { return None };
    let mut parts = std::str::from_utf8(payload).ok()?.splitn(4, ' ');
    let ticket = parts.next()?.parse().ok()?;
    let token = parts.next()?.parse().ok()?;
    let length: usize = parts.next()?.parse().ok()?;
    let (key, request) = parts.next()?.split_at_checked(length)?;
    Some(Grant { key: Key::new(key), request: request.to_owned(), ticket, token })
}
