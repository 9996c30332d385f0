//! The control experiment: everybody may enter at once. No store, no ticket, no token.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Key, Lease, Lock, LockError, Release, Strategy};

/// A lock that locks nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLock;

#[async_trait]
impl Lock for NoLock {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        Ok(Lease {
            key: key.clone(),
            request: request.to_owned(),
            ticket: None,
            token: None,
            waited: Duration::ZERO,
            granted_at: Instant::now(),
        })
    }

    async fn release(&self, _lease: Lease) -> Release {
        Release::Clean
    }

    fn strategy(&self) -> Strategy {
        Strategy::None
    }
}
