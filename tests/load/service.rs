//! A service on loopback that does what a test tells it, byte by byte, and remembers what it saw.
//!
//! It reads HTTP/1 itself: resetting in the middle of a reply is not something a framework offers.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cplock::ledger::Attempt;
use cplock::ledger::attempts::AttemptRef;
use cplock::ledger::probes::Probes;
use cplock::load::{Identity, Job, Target};
use cplock::scenario::{LoadPlan, Stage, UserMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request.
pub(crate) enum Act {
    /// A whole reply with this status and body.
    Reply(u16, String),
    /// The same, so much later.
    Late(Duration, u16, String),
    /// These bytes and nothing else, then the next request.
    Raw(Vec<u8>),
    /// These bytes, then the connection ends.
    End(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

/// One request as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) path: String,
    pub(crate) request_id: String,
    pub(crate) token: String,
    pub(crate) body: String,
}

#[derive(Default)]
struct Seen {
    hits: Mutex<Vec<Hit>>,
    connections: AtomicUsize,
}

pub(crate) struct Service {
    pub(crate) url: String,
    seen: Arc<Seen>,
    listening: tokio::task::JoinHandle<()>,
}

type Script = Arc<dyn Fn(usize, &Hit) -> Act + Send + Sync>;

impl Service {
    /// Starts on a free port; the script gets the request's number from 0.
    pub(crate) async fn start(script: impl Fn(usize, &Hit) -> Act + Send + Sync + 'static) -> Self {
        let listener = listen().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (script, theirs): (Script, _) = (Arc::new(script), Arc::clone(&seen));
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                theirs.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&theirs)));
            }
        });
        Self { url, seen, listening }
    }

    /// A service that grants every claim at once.
    pub(crate) async fn granting() -> Self {
        Self::start(|number, _| Act::Reply(200, granted(number))).await
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.seen.hits.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Listens on a free port, below those that connections take for themselves.
pub(crate) async fn listen() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(24_200);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no free port");
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
}

/// The body of a success.
pub(crate) fn granted(row: usize) -> String {
    let data = format!(r#"{{"userCouponId":{row},"couponId":1,"quantity":9}}"#);
    format!(r#"{{"code":200,"status":"OK","message":"ok","data":{data}}}"#)
}

/// The body of an error.
pub(crate) fn failed(word: &str) -> String {
    format!(r#"{{"status":"X","code":0,"error":"{word}","message":"no","timestamp":"now"}}"#)
}

/// A whole reply as bytes.
pub(crate) fn reply(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Seen>) {
    let mut held = Vec::new();
    while let Some(hit) = request(&mut stream, &mut held).await {
        let number = {
            let mut hits = seen.hits.lock().unwrap();
            hits.push(hit.clone());
            hits.len() - 1
        };
        let bytes = match script(number, &hit) {
            Act::Reply(status, body) => reply(status, &body),
            Act::Late(pause, status, body) => {
                tokio::time::sleep(pause).await;
                reply(status, &body)
            }
            Act::Raw(bytes) => bytes,
            Act::End(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::Hang => return std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The next request, `None` when the client has gone.
async fn request(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<Hit> {
    loop {
        if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let lines = String::from_utf8(held[..end].to_vec()).unwrap();
            let header = |name: &str| {
                let line = lines.lines().find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                });
                line.unwrap_or_default()
            };
            let length: usize = header("content-length").parse().unwrap_or(0);
            if held.len() >= end + 4 + length {
                let body = String::from_utf8(held[end + 4..end + 4 + length].to_vec()).unwrap();
                held.drain(..end + 4 + length);
                return Some(Hit {
                    path: lines.split(' ').nth(1).unwrap().to_owned(),
                    request_id: header("x-request-id"),
                    token: header("authorization"),
                    body,
                });
            }
        }
        if stream.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

pub(crate) fn stage(millis: u64, vus: u32) -> Stage {
    Stage { duration: Duration::from_millis(millis), vus }
}

/// A plan without think time, one shared user, short limits, no probes.
pub(crate) fn plan(stages: &[Stage]) -> LoadPlan {
    LoadPlan {
        stages: stages.to_vec(),
        think: Duration::ZERO,
        iterations: None,
        users: UserMode::Shared,
        graceful_stop: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        coupon: 1,
        probe: Duration::ZERO,
    }
}

pub(crate) fn users(count: i64) -> Vec<Identity> {
    (1..=count).map(|user| Identity { user, token: format!("Bearer t{user}") }).collect()
}

/// A job with its files in a folder of its own.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) job: Job,
}

impl Desk {
    pub(crate) fn new(url: &str, plan: LoadPlan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let job = Job {
            plan,
            target: Target::parse(url).unwrap(),
            identities: users(1),
            run: "r1".to_owned(),
            ledger: folder.path().join("ledger.ndjson"),
            latency: folder.path().join("latency.hlog"),
            probes: folder.path().join("probes.ndjson"),
        };
        Self { folder, job }
    }

    /// The ledger's attempts, read back strictly.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let path = self.folder.path().join("ledger.ndjson");
        let loaded = cplock::ledger::read::load(&path).unwrap();
        assert!(loaded.whole);
        loaded.attempts.iter().map(AttemptRef::to_attempt).collect()
    }

    /// The probes, read back strictly.
    pub(crate) fn probes(&self) -> Probes {
        cplock::ledger::probes::read(&self.job.probes).unwrap()
    }
}
