//! A whole lock log in memory, and reading it: strict, and compact enough for 10⁶ claims.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::super::lines::{EvidenceError, LineReader, Next};
use super::{About, Fate, Release, SCHEMA};

/// A whole lock log, in memory: 120 bytes a claim and its request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockLog {
    /// Whose account it is.
    pub about: About,
    /// When its clock began, in µs since the Unix epoch by the server's wall clock.
    pub began_unix_us: u64,
    /// Whether nothing is missing: the server ended well. Otherwise the claims of its last moments
    /// may be missing, or have no end.
    pub complete: bool,
    /// One a claim, by rising arrival number, each once. Gaps are claims whose lines are missing.
    pub claims: Vec<LockedClaim>,
    /// All request ids, one after the other.
    requests: String,
}

impl LockLog {
    /// The request id of one of its claims.
    pub fn request(&self, claim: &LockedClaim) -> &str {
        let from = usize::try_from(claim.request_at).unwrap_or(usize::MAX);
        let end = from.saturating_add(usize::from(claim.request_bytes));
        self.requests.get(from..end).unwrap_or_default()
    }
}

/// A number that may be missing, in 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    const EMPTY: Self = Self(u64::MAX);

    fn get(self) -> Option<u64> {
        (self != Self::EMPTY).then_some(self.0)
    }
}

impl From<Option<u64>> for Slot {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::EMPTY, Self)
    }
}

/// What the server tells of one claim. Times are µs since the server's beginning, on one clock,
/// and never run backwards within a claim, in the order of the methods here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedClaim {
    /// Order of arrival in the server process, from 1.
    pub arrival: u64,
    /// When it was let in.
    pub arrived_us: u64,
    /// When it began to ask for the lock.
    pub asked_us: u64,
    granted: Slot,
    commit_sent: Slot,
    committed: Slot,
    release_sent: Slot,
    /// When it was released, or when it gave up.
    ended: Slot,
    grant: Slot,
    ticket: Slot,
    token: Slot,
    fate: Option<Fate>,
    request_at: u32,
    /// Line of the file that tells of it first, from 2; the highest number for lines beyond it.
    pub line: u32,
    request_bytes: u8,
    release: Option<Release>,
}

impl LockedClaim {
    /// When the grant was known to the server; `None` if it never was.
    pub fn granted_us(&self) -> Option<u64> {
        self.granted.get()
    }

    /// Just before COMMIT was sent; `None` if it never was, or the end is missing.
    pub fn commit_sent_us(&self) -> Option<u64> {
        self.commit_sent.get()
    }

    /// When the database had confirmed the commit; `None` if it never did, or the end is missing.
    pub fn committed_us(&self) -> Option<u64> {
        self.committed.get()
    }

    /// When the release began; `None` without a grant, or where the end is missing.
    pub fn release_sent_us(&self) -> Option<u64> {
        self.release_sent.get()
    }

    /// When the release had ended; `None` without a grant, or where the end is missing.
    pub fn released_us(&self) -> Option<u64> {
        self.granted.get().and(self.ended.get())
    }

    /// When it gave up; `None` if it was granted.
    pub fn gave_up_us(&self) -> Option<u64> {
        if self.granted.get().is_some() { None } else { self.ended.get() }
    }

    /// How the release went; `None` without a grant, or where the end is missing.
    pub fn release(&self) -> Option<Release> {
        self.release
    }

    /// How it ended; `None` where the end is missing.
    pub fn fate(&self) -> Option<Fate> {
        self.fate
    }

    /// The row it wrote; `None` unless it is known to be issued.
    pub fn row(&self) -> Option<i64> {
        self.fate.and_then(Fate::row)
    }

    /// Order of the grant in the server process, from 1; `None` if it was never granted.
    pub fn grant(&self) -> Option<u64> {
        self.grant.get()
    }

    /// Place in line; `None` without a grant, or where the strategy does not queue.
    pub fn ticket(&self) -> Option<u64> {
        self.ticket.get()
    }

    /// Fencing token; `None` without a grant, or where the strategy does not fence.
    pub fn token(&self) -> Option<u64> {
        self.token.get()
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    #[serde(rename = "schema")]
    _schema: String,
    process: String,
    strategy: String,
    lease_us: u64,
    wait_us: u64,
    began_unix_us: u64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantLine<'a> {
    #[serde(rename = "kind")]
    _kind: serde::de::IgnoredAny,
    arrival: u64,
    #[serde(borrow)]
    request: Cow<'a, str>,
    arrived_us: u64,
    asked_us: u64,
    granted_us: u64,
    grant: u64,
    ticket: Option<u64>,
    token: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DoneLine<'a> {
    #[serde(rename = "kind")]
    _kind: serde::de::IgnoredAny,
    arrival: u64,
    #[serde(borrow)]
    request: Cow<'a, str>,
    commit_sent_us: Option<u64>,
    committed_us: Option<u64>,
    release_sent_us: u64,
    released_us: u64,
    #[serde(borrow)]
    release: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
    row: Option<i64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GaveUpLine<'a> {
    #[serde(rename = "kind")]
    _kind: serde::de::IgnoredAny,
    arrival: u64,
    #[serde(borrow)]
    request: Cow<'a, str>,
    arrived_us: u64,
    asked_us: u64,
    gave_up_us: u64,
    #[serde(borrow)]
    result: Cow<'a, str>,
}

/// Reads a whole lock log. A file that ends without its last line, or in the middle of a line, is
/// read up to there and is not complete.
///
/// # Errors
/// [`EvidenceError::Read`], [`EvidenceError::Schema`], or [`EvidenceError::Line`] for the first
/// line that is not what belongs there: an unknown field or word, a `done` without its `grant`, a
/// second account of one claim, times that run backwards within a claim, a wrong count at the end.
/// Nothing of the file is to be believed then.
pub fn read(path: &Path) -> Result<LockLog, EvidenceError> {
    let mut lines = LineReader::open(path)?;
    let header: HeaderLine = lines.header(SCHEMA)?;
    let mut claims = Claims::default();
    let (mut complete, mut records) = (false, 0);
    while !complete && lines.next()? == Next::Line {
        if lines.ends(records)? {
            complete = true;
        } else {
            records += 1;
            claims.take(&lines.buffer, lines.line).map_err(|what| lines.wrong(what))?;
        }
    }
    let Claims { mut all, requests, .. } = claims;
    all.shrink_to_fit();
    all.sort_unstable_by_key(|claim| (claim.arrival, claim.line));
    if let Some(twice) = all.windows(2).find(|pair| pair[0].arrival == pair[1].arrival) {
        let what = format!("a second account of arrival {}", twice[1].arrival);
        return Err(EvidenceError::Line { line: u64::from(twice[1].line), what });
    }
    Ok(LockLog {
        about: About {
            process: header.process,
            strategy: header.strategy,
            lease_us: header.lease_us,
            wait_us: header.wait_us,
        },
        began_unix_us: header.began_unix_us,
        complete,
        claims: all,
        requests,
    })
}

/// The claims of a file while it is read.
#[derive(Default)]
struct Claims {
    all: Vec<LockedClaim>,
    requests: String,
    /// Where in `all` those claims stand that were granted and are not done, by arrival.
    open: HashMap<u64, usize>,
}

impl Claims {
    /// Takes line number `line` in.
    fn take(&mut self, bytes: &[u8], line: u64) -> Result<(), String> {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let wrong = |error: serde_json::Error| error.to_string();
        if bytes.starts_with(b"{\"kind\":\"grant\",") {
            self.granted(&serde_json::from_slice(bytes).map_err(wrong)?, line)
        } else if bytes.starts_with(b"{\"kind\":\"done\",") {
            self.done(&serde_json::from_slice(bytes).map_err(wrong)?)
        } else if bytes.starts_with(b"{\"kind\":\"gave_up\",") {
            self.gave_up(&serde_json::from_slice(bytes).map_err(wrong)?, line)
        } else {
            Err("neither a `grant`, a `done`, a `gave_up` nor the end".to_owned())
        }
    }

    fn granted(&mut self, told: &GrantLine<'_>, line: u32) -> Result<(), String> {
        in_order(&[
            ("arrived_us", Some(told.arrived_us)),
            ("asked_us", Some(told.asked_us)),
            ("granted_us", Some(told.granted_us)),
        ])?;
        in_range(&[Some(told.grant), told.ticket, told.token])?;
        let claim = LockedClaim {
            granted: Slot(told.granted_us),
            grant: Slot(told.grant),
            ticket: told.ticket.into(),
            token: told.token.into(),
            ..self.begin(told.arrival, (told.arrived_us, told.asked_us), &told.request, line)?
        };
        if self.open.insert(told.arrival, self.all.len()).is_some() {
            return Err(format!("a second account of arrival {}", told.arrival));
        }
        self.all.push(claim);
        Ok(())
    }

    fn done(&mut self, told: &DoneLine<'_>) -> Result<(), String> {
        let granted = self.open.remove(&told.arrival).and_then(|at| self.all.get_mut(at));
        let Some(claim) = granted else {
            return Err(format!("arrival {} is done without an open grant", told.arrival));
        };
        let from = usize::try_from(claim.request_at).unwrap_or(usize::MAX);
        if !self.requests[from..].starts_with(&*told.request)
            || told.request.len() != usize::from(claim.request_bytes)
        {
            return Err(format!("arrival {} was granted to another request", told.arrival));
        }
        in_order(&[
            ("granted_us", claim.granted_us()),
            ("commit_sent_us", told.commit_sent_us),
            ("committed_us", told.committed_us),
        ])?;
        // A commit after the release is wrong of the service, not of its log.
        in_order(&[
            ("granted_us", claim.granted_us()),
            ("release_sent_us", Some(told.release_sent_us)),
            ("released_us", Some(told.released_us)),
        ])?;
        if told.committed_us.is_some() && told.commit_sent_us.is_none() {
            return Err("committed and never sent".to_owned());
        }
        let fate = Fate::of(&told.result, told.row)?;
        if matches!(fate, Fate::Issued(_)) != told.committed_us.is_some() {
            return Err(format!("`{}` does not fit its commit", told.result));
        }
        let release = Release::ALL.into_iter().find(|way| way.name() == told.release);
        claim.release = Some(release.ok_or_else(|| format!("unknown way `{}`", told.release))?);
        claim.commit_sent = told.commit_sent_us.into();
        claim.committed = told.committed_us.into();
        claim.release_sent = Slot(told.release_sent_us);
        claim.ended = Slot(told.released_us);
        claim.fate = Some(fate);
        Ok(())
    }

    fn gave_up(&mut self, told: &GaveUpLine<'_>, line: u32) -> Result<(), String> {
        in_order(&[
            ("arrived_us", Some(told.arrived_us)),
            ("asked_us", Some(told.asked_us)),
            ("gave_up_us", Some(told.gave_up_us)),
        ])?;
        let fate = Fate::of(&told.result, None)?;
        let claim = LockedClaim {
            ended: Slot(told.gave_up_us),
            fate: Some(fate),
            ..self.begin(told.arrival, (told.arrived_us, told.asked_us), &told.request, line)?
        };
        if self.open.contains_key(&told.arrival) {
            return Err(format!("a second account of arrival {}", told.arrival));
        }
        self.all.push(claim);
        Ok(())
    }

    /// A claim of which nothing is known yet but its arrival.
    fn begin(
        &mut self,
        arrival: u64,
        (arrived_us, asked_us): (u64, u64),
        request: &str,
        line: u32,
    ) -> Result<LockedClaim, String> {
        let request_bytes = u8::try_from(request.len())
            .map_err(|_| "a request id of more than 255 bytes".to_owned())?;
        let request_at = u32::try_from(self.requests.len())
            .map_err(|_| "more than 4 GiB of request ids".to_owned())?;
        self.requests.push_str(request);
        let empty = Slot::EMPTY;
        Ok(LockedClaim {
            arrival,
            arrived_us,
            asked_us,
            granted: empty,
            commit_sent: empty,
            committed: empty,
            release_sent: empty,
            ended: empty,
            grant: empty,
            ticket: empty,
            token: empty,
            fate: None,
            request_at,
            line,
            request_bytes,
            release: None,
        })
    }
}

/// Whether the times that are there never run backwards, and fit a [`Slot`].
fn in_order(times: &[(&str, Option<u64>)]) -> Result<(), String> {
    let mut last = ("", 0);
    for (name, time) in times.iter().filter_map(|(name, time)| Some((*name, (*time)?))) {
        if time < last.1 {
            return Err(format!("`{name}` {time} is before `{}` {}", last.0, last.1));
        }
        last = (name, time);
    }
    in_range(&[Some(last.1)])
}

/// The highest number means that there is none.
fn in_range(numbers: &[Option<u64>]) -> Result<(), String> {
    if numbers.contains(&Some(u64::MAX)) {
        return Err(format!("{} is out of range", u64::MAX));
    }
    Ok(())
}
