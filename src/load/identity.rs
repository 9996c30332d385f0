//! In whose name the VUs ask: users, their tokens, and how they get them from the target.
//!
//! Passwords live only for the sign-up; nothing of this is stored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};

use super::LoadError;
use super::reply::Reply;
use super::stop::Stop;
use super::transport::{Dialer, Exchange, Target, Traffic, Wire};
use crate::scenario::UserMode;

/// Sign-ups in flight at once.
const CONNECTIONS: usize = 64;
/// Longest wait for one reply of the sign-up: it hashes passwords, and 64 of them at a time.
const SIGN_UP_LIMIT: Duration = Duration::from_mins(1);

/// One user, as the target knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id; 0 where the token does not tell it.
    pub user: i64,
    /// The whole value of the `Authorization` header.
    pub token: String,
}

impl std::fmt::Debug for Identity {
    /// The token is a secret.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Identity").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Identity {
    /// From an access token, with or without `Bearer ` in front. The user id is read from a JWT's
    /// `sub` (number or text) or `userId`, without checking the signature; else it is 0.
    pub fn of_token(token: &str) -> Self {
        let token = token.trim();
        let bare = token.strip_prefix("Bearer ").unwrap_or(token);
        Self { user: jwt_user(bare).unwrap_or(0), token: format!("Bearer {bare}") }
    }
}

fn jwt_user(token: &str) -> Option<i64> {
    let payload = base64_url(token.split('.').nth(1)?)?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    ["sub", "userId", "user_id", "id"].iter().find_map(|name| {
        let value = claims.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    })
}

/// Source: RFC 4648, section 5, with or without padding.
fn base64_url(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut out) = (0_u32, 0_u32, Vec::new());
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(out)
}

/// A user, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) user: i64,
    pub(super) token: HeaderValue,
}

/// Who asks, for every attempt of a run.
#[derive(Debug)]
pub(super) struct Identities {
    mode: UserMode,
    passes: Vec<Pass>,
    next: AtomicUsize,
}

impl Identities {
    /// Checks that there is one for each VU at once (`PerVu`), or at least one.
    pub(super) fn new(mode: UserMode, vus: u32, given: &[Identity]) -> Result<Self, LoadError> {
        let needed = match mode {
            UserMode::Shared | UserMode::PerClaim => 1,
            UserMode::PerVu => usize::try_from(vus).unwrap_or(usize::MAX),
        };
        if given.len() < needed {
            return Err(LoadError::Identities { given: given.len(), needed });
        }
        let passes = given.iter().map(|identity| {
            let mut token = HeaderValue::from_str(&identity.token).map_err(|_| LoadError::Token)?;
            token.set_sensitive(true);
            Ok(Pass { user: identity.user, token })
        });
        let passes = passes.collect::<Result<_, LoadError>>()?;
        Ok(Self { mode, passes, next: AtomicUsize::new(0) })
    }

    /// Who asks next in this slot; `None` once every user of `PerClaim` has asked.
    pub(super) fn next(&self, slot: u32) -> Option<&Pass> {
        let index = match self.mode {
            UserMode::Shared => 0,
            UserMode::PerVu => usize::try_from(slot).ok()?,
            // Stops counting at the end, so that it can never wrap.
            UserMode::PerClaim => self
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                    (next < self.passes.len()).then_some(next + 1)
                })
                .ok()?,
        };
        self.passes.get(index)
    }
}

/// Signs up and signs in `count` users, 64 at a time, and returns them in order of their number.
///
/// The e-mail is `cplock-<name>-<number>@example.com`. A known e-mail is signed in with the same
/// password, so a repeated run with the same name reuses its users. `progress` is called with the
/// count so far.
///
/// # Errors
/// - [`LoadError::SignUp`]: the target refused or did not answer; users before it exist there.
/// - [`LoadError::Interrupted`]: `stop` was called.
/// - [`LoadError::Target`]: the target cannot be resolved. No user was made.
pub async fn sign_up(
    target: &Target,
    count: u32,
    name: &str,
    stop: &Stop,
    progress: &(dyn Fn(u32) + Sync),
) -> Result<Vec<Identity>, LoadError> {
    let dialer = Dialer::new(target, std::sync::Arc::new(Traffic::default())).await?;
    let next = std::sync::atomic::AtomicU32::new(0);
    let done = std::sync::atomic::AtomicU32::new(0);
    let lanes =
        (0..CONNECTIONS.min(usize::try_from(count).unwrap_or(CONNECTIONS))).map(async |_| {
            let mut desk = Desk { wire: dialer.wire()?, target };
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(made);
                }
                if stop.is_set() {
                    return Err(LoadError::Interrupted);
                }
                made.push((number, desk.sign_up(&format!("cplock-{name}-{number}")).await?));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        });
    let lanes = futures_util::future::try_join_all(lanes).await?;
    let mut made: Vec<(u32, Identity)> = lanes.into_iter().flatten().collect();
    made.sort_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, identity)| identity).collect())
}

/// One connection on which users sign up.
struct Desk<'a> {
    wire: Wire,
    target: &'a Target,
}

impl Desk<'_> {
    async fn sign_up(&mut self, name: &str) -> Result<Identity, LoadError> {
        let email = format!("{name}@example.com");
        // The same for the same user, so that a later run can sign in again.
        let password = format!("Pw1!-{name}");
        let user = serde_json::json!({
            "email": email, "password": password, "nickname": name, "address": "1 Loopback Road",
        });
        let reply = self.post("/api/v1/auth/signup", &user).await?;
        if !matches!(reply.status, 200..=299 | 409) {
            return Err(refused("/api/v1/auth/signup", &reply));
        }
        let user = serde_json::json!({ "email": email, "password": password });
        let reply = self.post("/api/v1/auth/signin", &user).await?;
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match body.pointer("/data/accessToken").and_then(serde_json::Value::as_str) {
            Some(token) if (200..=299).contains(&reply.status) => Ok(Identity::of_token(token)),
            _ => Err(refused("/api/v1/auth/signin", &reply)),
        }
    }

    async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<Reply, LoadError> {
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri(path)?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.host_header()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let what = match tokio::time::timeout(SIGN_UP_LIMIT, self.wire.exchange(request)).await {
            Ok(Exchange::Reply(reply)) => return Ok(reply),
            Ok(Exchange::Unsent) => "cannot connect; is the service running?".to_owned(),
            Ok(Exchange::Lost { .. }) => "the connection ended before the reply".to_owned(),
            Err(_) => format!("no reply within {} s", SIGN_UP_LIMIT.as_secs()),
        };
        Err(LoadError::SignUp { path: path.to_owned(), what })
    }
}

fn refused(path: &str, reply: &Reply) -> LoadError {
    let body: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
    let what = format!("status {} with `{}`", reply.status, body.trim());
    LoadError::SignUp { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::{Identities, Identity, base64_url};
    use crate::load::LoadError;
    use crate::scenario::UserMode;

    /// The user id is read from the payload, in each form that services use; else it is 0.
    #[test]
    fn user_of_a_token() {
        // {"sub":"42"} · {"sub":7} · {"userId":9,"sub":"mail@example.com"}
        for (payload, user) in [
            ("eyJzdWIiOiI0MiJ9", 42),
            ("eyJzdWIiOjd9", 7),
            ("eyJ1c2VySWQiOjksInN1YiI6Im1haWxAZXhhbXBsZS5jb20ifQ==", 9),
            ("not+base64url", 0),
            ("AAAA", 0),
        ] {
            let identity = Identity::of_token(&format!("Bearer head.{payload}.sign"));
            assert_eq!(identity.user, user, "{payload}");
            assert_eq!(identity.token, format!("Bearer head.{payload}.sign"));
        }
        assert_eq!(
            Identity::of_token("opaque"),
            Identity { user: 0, token: "Bearer opaque".into() }
        );
        assert!(!format!("{:?}", Identity::of_token("opaque")).contains("opaque"));
    }

    /// RFC 4648 section 10, and both letters in which the URL alphabet differs.
    #[test]
    fn base64() {
        for (text, bytes) in [("", ""), ("Zg", "f"), ("Zm8=", "fo"), ("Zm9v", "foo")] {
            assert_eq!(base64_url(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64_url("-_-_"), Some(vec![0xfb, 0xff, 0xbf]));
        assert_eq!(base64_url("+/"), None);
    }

    fn users(count: i64) -> Vec<Identity> {
        (1..=count).map(|user| Identity { user, token: format!("Bearer {user}") }).collect()
    }

    /// Each mode hands out its users: always the first, the slot's own, or each once.
    #[test]
    fn modes() {
        let asks = |mode, slots: [u32; 4]| {
            let identities = Identities::new(mode, 2, &users(3)).unwrap();
            slots.map(|slot| identities.next(slot).map(|pass| pass.user))
        };
        assert_eq!(asks(UserMode::Shared, [0, 1, 0, 1]), [Some(1); 4]);
        assert_eq!(asks(UserMode::PerVu, [0, 1, 0, 1]), [Some(1), Some(2), Some(1), Some(2)]);
        assert_eq!(asks(UserMode::PerClaim, [0, 0, 1, 1]), [Some(1), Some(2), Some(3), None]);
    }

    /// Too few users, and a token that cannot be a header, are told before anything is sent.
    #[test]
    fn refused_before_the_run() {
        let few = Identities::new(UserMode::PerVu, 4, &users(3)).unwrap_err();
        assert!(matches!(few, LoadError::Identities { given: 3, needed: 4 }));
        assert!(Identities::new(UserMode::Shared, 4, &[]).is_err());
        let odd = [Identity { user: 1, token: "a\nb".into() }];
        assert!(matches!(Identities::new(UserMode::Shared, 1, &odd), Err(LoadError::Token)));
    }
}
