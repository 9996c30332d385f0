//! One life of the connection to Redis: how it is opened, and the moves that are made on it.
//!
//! A link is never repaired: when it fails, `mod.rs` replaces it and restores what it lost. Each
//! move is one Lua script, so each is atomic.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo, ProtocolVersion,
    RedisError, Script,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::lease_store::{Grant, Joined};
use super::super::waiters::Waiters;
use super::super::{Key, LockError};
use super::push::{Ear, News};

/// Longest wait for one reply. Far beyond redis-rs's 500 ms: under load a late reply is normal, and
/// an abandoned script may have run.
const REPLY_WITHIN: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Commands that may wait for the socket: more than anybody's workers, so that none is delayed by
/// the default of 50.
const PIPELINE: usize = 8192;

/// The scripts, with the hashes by which Redis knows them.
pub(super) struct Scripts {
    take: Script,
    give_back: Script,
    join: Script,
    leave: Script,
    pass: Script,
    tick: Script,
}

macro_rules! on_line {
    ($file:literal) => {
        Script::new(concat!(include_str!("common.lua"), include_str!($file)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            take: Script::new(include_str!("take.lua")),
            give_back: Script::new(include_str!("give_back.lua")),
            join: on_line!("join.lua"),
            leave: on_line!("leave.lua"),
            pass: on_line!("pass.lua"),
            tick: on_line!("tick.lua"),
        }
    }

    fn all(&self) -> [&Script; 6] {
        [&self.take, &self.give_back, &self.join, &self.leave, &self.pass, &self.tick]
    }
}

/// Where Redis is and who we are to it: what every link has in common.
pub(super) struct Site {
    client: Client,
    scripts: Scripts,
    /// Name of this process among the waiters; has no `:`.
    process: String,
    lease: Duration,
}

/// A connection, for scripts one way and pushes the other, and the run of Redis that it leads to.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    pub(super) run: Run,
    /// To this link's keeper.
    news: UnboundedSender<News>,
}

impl Link {
    /// Tells the keeper that a command found this link broken.
    pub(super) fn give_up(&self) {
        // A keeper who has let go of this link knows.
        drop(self.news.send(News::Broken));
    }
}

/// One run of a Redis server, from its start to its end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Redis's own name for it: changes with every restart.
    id: String,
    /// No grants before this time (µs of Redis TIME); 0 if nothing is known against it.
    quiet_until: u64,
}

/// What a tick of one line tells.
pub(super) struct Ticked {
    /// We were absent: our waiters may have lost their places.
    pub(super) absent: bool,
    /// The holder, if it is of this process.
    pub(super) ours: Option<Grant>,
    /// When a holder or a quiet time ends by itself; `None` if nothing does.
    pub(super) ends_in: Option<Duration>,
}

impl Site {
    /// # Errors
    /// The URL is none of Redis.
    pub(super) fn new(url: &str, process: String, lease: Duration) -> Result<Self, LockError> {
        let client = url.into_connection_info().and_then(|info| {
            // Only RESP3 brings pushes on a connection that asks as well.
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            // redis-rs leaves Nagle's algorithm on; it would be measured instead of the lock.
            let tcp = TcpSettings::default().set_nodelay(true);
            Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp))
        });
        match client {
            Ok(client) => Ok(Self { client, scripts: Scripts::new(), process, lease }),
            // The text may hold a password, so it is not repeated.
            Err(_) => Err(LockError::Store(
                "the Redis URL cannot be read; write it as `redis://host:6379`".to_owned(),
            )),
        }
    }

    /// Opens a link: scripts loaded, pushes subscribed. From then on grants reach `waiters`, until
    /// the returned end is dropped; it brings what the keeper must act on.
    ///
    /// If Redis was restarted since the run `before`, no grants shall be made for one lease from
    /// now, because a grant of that run may still be in use.
    ///
    /// # Errors
    /// Redis cannot be reached, refuses, or is not ready.
    pub(super) async fn connect(
        &self,
        waiters: &Arc<Waiters>,
        before: Option<&Run>,
    ) -> Result<(Link, UnboundedReceiver<News>), RedisError> {
        let (news, received) = unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(REPLY_WITHIN))
            .set_pipeline_buffer_size(PIPELINE)
            .set_push_sender(Ear { waiters: waiters.clone(), news: news.clone() });
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(format!("cplock:grants:{}", self.process)).await?;
        for script in self.scripts.all() {
            script.load_async(&mut connection).await?;
        }
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        let id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let id = id.unwrap_or_default().trim().to_owned();
        let quiet_until = match before {
            None => 0,
            Some(before) if before.id == id => before.quiet_until,
            Some(_) => {
                let (seconds, micros): (u64, u64) =
                    redis::cmd("TIME").query_async(&mut connection).await?;
                seconds * 1_000_000 + micros + micros_of(self.lease)
            }
        };
        Ok((Link { connection, run: Run { id, quiet_until }, news }, received))
    }

    pub(super) async fn take(
        &self,
        link: &Link,
        key: &Key,
        request: &str,
    ) -> Result<bool, RedisError> {
        let lease_ms = micros_of(self.lease).div_ceil(1000).max(1).to_string();
        let args = [self.id(request), lease_ms];
        run(&self.scripts.take, link, &[plain_key(key)], &args).await
    }

    pub(super) async fn give_back(
        &self,
        link: &Link,
        key: &Key,
        request: &str,
    ) -> Result<bool, RedisError> {
        run(&self.scripts.give_back, link, &[plain_key(key)], &[self.id(request)]).await
    }

    /// `ticket` is the one given before, where there is one.
    pub(super) async fn join(
        &self,
        link: &Link,
        key: &Key,
        request: &str,
        ticket: Option<u64>,
    ) -> Result<Joined, RedisError> {
        let more = [self.id(request), ticket.unwrap_or(0).to_string()];
        let (answer, ticket, token): (String, u64, u64) =
            self.on_line(&self.scripts.join, link, key, more).await?;
        Ok(if answer == "granted" {
            let (key, request) = (key.clone(), request.to_owned());
            Joined::Granted(Grant { key, request, ticket, token })
        } else {
            Joined::Queued(ticket)
        })
    }

    pub(super) async fn leave(
        &self,
        link: &Link,
        key: &Key,
        request: &str,
    ) -> Result<(), RedisError> {
        self.on_line(&self.scripts.leave, link, key, [self.id(request)]).await
    }

    pub(super) async fn pass_on(&self, link: &Link, grant: &Grant) -> Result<bool, RedisError> {
        let more = [self.id(&grant.request), grant.token.to_string()];
        self.on_line(&self.scripts.pass, link, &grant.key, more).await
    }

    pub(super) async fn tick(&self, link: &Link, key: &Key) -> Result<Ticked, RedisError> {
        let (absent, owner, ticket, token, ends_in): (u8, String, u64, u64, u64) =
            self.on_line(&self.scripts.tick, link, key, [self.process.clone()]).await?;
        let ours = owner
            .strip_prefix(&self.process)
            .and_then(|rest| rest.strip_prefix(':'))
            .map(|request| Grant { key: key.clone(), request: request.to_owned(), ticket, token });
        let ends_in = (ends_in > 0).then(|| Duration::from_micros(ends_in));
        Ok(Ticked { absent: absent == 1, ours, ends_in })
    }

    /// Runs a script that has `common.lua` in front.
    async fn on_line<T: FromRedisValue, const N: usize>(
        &self,
        script: &Script,
        link: &Link,
        key: &Key,
        more: [String; N],
    ) -> Result<T, RedisError> {
        let name = key.as_str();
        // The braces put all keys of a line into one cluster slot.
        let keys = [
            format!("{{{name}}}:state"),
            format!("{{{name}}}:queue"),
            format!("{{{name}}}:beats"),
            format!("{{{name}}}:lost"),
        ];
        let mut args = vec![
            name.to_owned(),
            link.run.id.clone(),
            link.run.quiet_until.to_string(),
            micros_of(self.lease).to_string(),
        ];
        args.extend(more);
        run(script, link, &keys, &args).await
    }

    fn id(&self, request: &str) -> String {
        format!("{}:{request}", self.process)
    }
}

/// One round trip: EVALSHA, and the script itself only where Redis has forgotten it. The first poll
/// puts the command into the connection's queue.
async fn run<T: FromRedisValue>(
    script: &Script,
    link: &Link,
    keys: &[String],
    args: &[String],
) -> Result<T, RedisError> {
    let mut call = script.prepare_invoke();
    for key in keys {
        call.key(key);
    }
    for arg in args {
        call.arg(arg);
    }
    call.invoke_async(&mut link.connection.clone()).await
}

/// Why a link could not be opened, and what to do. A Redis too old echoes the command that it does
/// not know, with the password in it, so its words are left out.
pub(super) fn remedy(error: &RedisError) -> String {
    let no_resp3 = error.kind() == ErrorKind::RESP3NotSupported
        || error.detail().is_some_and(|detail| detail.contains("HELLO"));
    if no_resp3 {
        return "this server does not speak RESP3, which grants are pushed by; use Redis 6 or \
                newer, or Valkey, or leave the URL out to keep leases in this process"
            .to_owned();
    }
    format!(
        "{error}; start Redis there, correct the URL, or leave it out to keep leases in this \
         process"
    )
}

fn plain_key(key: &Key) -> String {
    format!("{{{}}}:spin", key.as_str())
}

fn micros_of(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
