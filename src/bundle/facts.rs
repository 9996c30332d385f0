//! `run.json`: what was run, with what, on which machine. Never a secret.

use std::fs;

/// Version of `run.json`.
pub const RUN_SCHEMA: &str = "cplock.run/1";

/// What one run was. Written when it begins, and again, with `finished`, when it ends.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// [`RUN_SCHEMA`].
    pub schema: String,
    /// Version of the program, `0.1.0`.
    pub tool: String,
    /// Unique name of this run; the request ids of its attempts begin with it.
    pub run: String,
    /// The scenario as resolved, defaults included.
    pub scenario: serde_json::Value,
    /// Lock strategy, where the server is ours.
    pub strategy: Option<String>,
    /// Write mode, where the server is ours.
    pub write: Option<String>,
    /// Whether one user may hold one unit only.
    pub one_per_user: bool,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// When it came to its end, RFC 3339 in UTC; absent after a kill, so that the ledger's end may
    /// be lost.
    pub finished: Option<String>,
    /// Whether a signal ended it early (and it still came to its end in good order).
    pub interrupted: bool,
    /// The machine that made the load.
    pub host: Host,
    /// URL of the service, redacted.
    pub target: String,
    /// Versions and settings of server, database and Redis as name and value, in reading order;
    /// URLs redacted.
    pub facts: Vec<(String, String)>,
}

/// A machine, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// `linux`, `macos`, `windows`.
    pub os: String,
    /// Release of the kernel; empty if not known.
    pub kernel: String,
    /// Processors that this process may use; 0 if not known.
    pub cpus: usize,
    /// Memory in MiB; 0 if not known.
    pub memory_mb: u64,
    /// Name of the processor; empty if not known.
    pub cpu_model: String,
}

impl Host {
    /// This machine. What cannot be read (away from Linux) stays empty.
    pub fn here() -> Self {
        let line = |path: &str, key: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
        };
        let memory = line("/proc/meminfo", "MemTotal:").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            os: os().to_owned(),
            kernel: line("/proc/sys/kernel/osrelease", "").unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: kib / 1024,
            cpu_model: line("/proc/cpuinfo", "model name").unwrap_or_default(),
        }
    }
}

fn os() -> &'static str {
    if cfg!(target_os = "linux") {
        "linux"
    } else if cfg!(target_os = "macos") {
        "macos"
    } else if cfg!(windows) {
        "windows"
    } else {
        "other"
    }
}

/// `url` without its password and without parameters that look like secrets. The user's name stays.
///
/// Errs on the side of hiding: everything from the first `:` of the user's part to the last `@`
/// goes, even where the text is no legal URL.
pub fn redact_url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = user.split(':').next().unwrap_or_default();
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    let (host, query) = rest.split_once('?').map_or((rest, None), |(host, q)| (host, Some(q)));
    let query = query.map(|query| {
        let pairs: Vec<_> = query.split('&').map(redact_pair).collect();
        format!("?{}", pairs.join("&"))
    });
    format!("{scheme}{user}{host}{}", query.unwrap_or_default())
}

fn redact_pair(pair: &str) -> String {
    let Some((key, _)) = pair.split_once('=') else { return pair.to_owned() };
    let lower = key.to_ascii_lowercase();
    let secret = ["pass", "pwd", "secret", "token", "key"].iter().any(|word| lower.contains(word));
    if secret { format!("{key}=***") } else { pair.to_owned() }
}
