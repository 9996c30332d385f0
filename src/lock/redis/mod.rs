//! Leases in Redis (or Valkey), shared by every process that uses the same server.
//!
//! Here: what lasts longer than a connection. A task, the keeper, keeps a [`Link`] up and after a
//! failure restores this process's places in line. The moves are in `link.rs`, their rules in the
//! Lua files, pushed grants in `push.rs`.

pub mod facts;
mod link;
mod push;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use redis::RedisError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::link::{Link, Run, Site, remedy};
use self::push::News;
use super::lease_store::{Fault, Grant, Joined, LeaseStore, tick_every};
use super::waiters::{Standing, Waiters};
use super::{Key, LockError};

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(320);

/// A lease store in Redis. Dropping it ends its task and its connections.
pub struct RedisStore {
    core: Arc<Core>,
    keeper: JoinHandle<()>,
}

struct Core {
    site: Site,
    lease: Duration,
    waiters: Arc<Waiters>,
    state: Mutex<State>,
}

/// What is known of the connection right now.
#[derive(Default)]
struct State {
    /// `None` while Redis is away.
    link: Option<Link>,
    /// Moves that take something back and were not confirmed; made up for on the next link.
    debts: Vec<Debt>,
}

/// Something given up that Redis may not know of.
#[derive(Clone)]
enum Debt {
    Leave(Key, String),
    PassOn(Grant),
}

impl RedisStore {
    /// Connects to `url`, for grants that last `lease` and are pushed to `waiters`.
    ///
    /// # Errors
    /// The URL cannot be read, or Redis does not answer there. Nothing is left behind.
    pub async fn open(
        url: &str,
        lease: Duration,
        waiters: Arc<Waiters>,
    ) -> Result<Self, LockError> {
        let process = format!("{:x}-{:016x}", std::process::id(), RandomState::new().hash_one(0));
        let site = Site::new(url, process, lease)?;
        let (link, news) = site.connect(&waiters, None).await.map_err(|error| {
            LockError::Store(format!("`{}`: {}", crate::address::redacted(url), remedy(&error)))
        })?;
        let state = State { link: Some(link), ..State::default() };
        let core = Arc::new(Core { site, lease, waiters, state: Mutex::new(state) });
        let keeper = tokio::spawn(core.clone().keep(news));
        Ok(Self { core, keeper })
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Core {
    /// Keeps a link up: when it breaks, replaces it and restores our places.
    async fn keep(self: Arc<Self>, mut news: UnboundedReceiver<News>) {
        loop {
            let Ok(Link { run: before, .. }) = self.link() else { return };
            self.listen(news).await;
            self.state().link = None;
            let mut pause = FIRST_RETRY;
            news = loop {
                match self.reconnect(&before).await {
                    Ok(news) => break news,
                    Err(error) => tracing::debug!(%error, "Redis is away"),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            };
            tracing::info!("connected to Redis again; places in line are restored");
        }
    }

    /// Returns when the link is broken. Its pushes are heard no more then; what they would have
    /// told is found again by the joins that restore our places.
    async fn listen(&self, mut news: UnboundedReceiver<News>) {
        while let Some(News::Unclaimed(grant)) = news.recv().await {
            // Who waited has left, and Redis was not told: a fault then is a debt.
            drop(self.pass_on(&grant).await);
        }
    }

    /// A new link: first what we owe, then our places, oldest ticket first, and only then new asks.
    async fn reconnect(&self, before: &Run) -> Result<UnboundedReceiver<News>, RedisError> {
        let (link, news) = self.site.connect(&self.waiters, Some(before)).await?;
        loop {
            let debts = self.state().debts.clone();
            for debt in &debts {
                self.pay(&link, debt).await?;
            }
            self.state().debts.drain(..debts.len());
            self.restore(&link, &self.waiters.standing()).await?;
            let mut state = self.state();
            // Who came or left during this round found no link. Who comes after this look finds
            // it, and joins behind everybody here.
            let settled = state.debts.is_empty()
                && self.waiters.standing().iter().all(|who| who.ticket.is_some());
            if settled {
                state.link = Some(link);
                return Ok(news);
            }
        }
    }

    async fn pay(&self, link: &Link, debt: &Debt) -> Result<(), RedisError> {
        match debt {
            // Asked anew since: the place is wanted again.
            Debt::Leave(key, request) if self.waiters.waits(key, request) => Ok(()),
            Debt::Leave(key, request) => self.site.leave(link, key, request).await,
            Debt::PassOn(grant) => self.site.pass_on(link, grant).await.map(drop),
        }
    }

    /// Joins again for waiters of ours, in the given order; changes nothing where nothing was lost.
    /// All are sent at once, in order. A place made for somebody who left meanwhile is passed on
    /// when its turn comes.
    async fn restore(&self, link: &Link, standing: &[Standing]) -> Result<(), RedisError> {
        let joins = standing.iter().map(|Standing { key, request, ticket }| async move {
            match self.site.join(link, key, request, *ticket).await? {
                Joined::Queued(ticket) => self.waiters.seated(key, request, ticket),
                Joined::Granted(grant) => {
                    if !self.waiters.deliver(grant.clone()) {
                        self.site.pass_on(link, &grant).await?;
                    }
                }
            }
            Ok(())
        });
        try_join_all(joins).await.map(drop)
    }

    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault> {
        let answer = self.ask(async |site, link| site.pass_on(link, grant).await).await;
        if answer.is_err() {
            self.state().debts.push(Debt::PassOn(grant.clone()));
        }
        answer
    }

    /// Makes a move on the link there is. A broken link is left to the keeper to replace.
    async fn ask<T>(
        &self,
        make: impl AsyncFnOnce(&Site, &Link) -> Result<T, RedisError>,
    ) -> Result<T, Fault> {
        let link = self.link()?;
        make(&self.site, &link).await.map_err(|error| {
            if error.is_io_error() || error.is_unrecoverable_error() {
                link.give_up();
            }
            Fault(error.to_string())
        })
    }

    fn link(&self) -> Result<Link, Fault> {
        let link = self.state().link.clone();
        link.ok_or_else(|| Fault("Redis is away; reconnecting".to_owned()))
    }

    async fn tick_line(&self, key: &Key) -> Result<Option<Duration>, Fault> {
        self.ask(async |site, link| {
            let ticked = site.tick(link, key).await?;
            if let Some(grant) = ticked.ours {
                // If it still waits here, its push was lost. If nobody here knows of it, it is
                // on its way in or out, or lapses.
                self.waiters.deliver(grant);
            }
            if ticked.absent {
                let mut standing = self.waiters.standing();
                standing.retain(|who| who.key == *key);
                self.restore(link, &standing).await?;
            }
            Ok(ticked.ends_in)
        })
        .await
    }

    /// A panic elsewhere leaves the state whole, so a poisoned mutex is used on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for RedisStore {
    async fn take(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.core.ask(async |site, link| site.take(link, key, request).await).await
    }

    async fn give_back(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.core.ask(async |site, link| site.give_back(link, key, request).await).await
    }

    async fn join(&self, key: &Key, request: &str) -> Result<Joined, Fault> {
        let ticket = self.core.waiters.ticket(key, request);
        let joined =
            self.core.ask(async |site, link| site.join(link, key, request, ticket).await).await?;
        if let Joined::Queued(ticket) = joined {
            self.core.waiters.seated(key, request, ticket);
        }
        Ok(joined)
    }

    async fn leave(&self, key: &Key, request: &str) -> Result<(), Fault> {
        let answer = self.core.ask(async |site, link| site.leave(link, key, request).await).await;
        if answer.is_err() {
            self.core.state().debts.push(Debt::Leave(key.clone(), request.to_owned()));
        }
        answer
    }

    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault> {
        self.core.pass_on(grant).await
    }

    async fn tick(&self) -> Duration {
        let keys = self.core.waiters.keys();
        let lines = join_all(keys.iter().map(|key| self.core.tick_line(key))).await;
        let ends = lines.into_iter().filter_map(|line| line.ok().flatten());
        // A millisecond more, so that it has ended by then.
        let soonest = ends.min().map(|ends_in| ends_in + Duration::from_millis(1));
        tick_every(self.core.lease).min(soonest.unwrap_or(Duration::MAX))
    }
}
