//! Who asks: sign-in tokens (JWT, HS256) and password hashes. No HTTP and no database here.
//!
//! The password hash is the laboratory's: Argon2id with the smallest parameters, so that signing
//! up 2,000 users does not take minutes. It protects nobody's real password.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::coupon::UserId;

/// How long a token lasts from its making.
pub const TOKEN_LIFE: Duration = Duration::from_hours(12);

/// Makes and reads tokens; holds the secret and never shows it.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(secret not shown)")
    }
}

/// Registered claims (RFC 7519) of our tokens.
#[derive(Debug, Serialize, Deserialize)]
struct JwtClaims {
    /// User id in decimal.
    sub: String,
    /// Seconds since the Unix epoch.
    iat: u64,
    /// Seconds since the Unix epoch.
    exp: u64,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not made here, changed, or not a token.
    #[error("the token is not valid; sign in again")]
    Invalid,
    /// Made here, but its time is over.
    #[error("the token has expired; sign in again")]
    Expired,
}

impl Tokens {
    /// Tokens signed with `secret`. Servers given the same secret accept each other's tokens.
    pub fn new(secret: &[u8]) -> Self {
        let mut validation = Validation::new(JwtAlgorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// A token for `user` that lasts [`TOKEN_LIFE`], without the `Bearer ` in front.
    pub fn mint(&self, user: UserId) -> String {
        self.mint_until(user, SystemTime::now() + TOKEN_LIFE)
    }

    /// A token for `user` that lasts until `end`.
    pub fn mint_until(&self, user: UserId, end: SystemTime) -> String {
        let claims = JwtClaims {
            sub: user.0.to_string(),
            iat: seconds(SystemTime::now()),
            exp: seconds(end),
        };
        jsonwebtoken::encode(&Header::new(JwtAlgorithm::HS256), &claims, &self.encoding)
            .expect("HS256 over plain claims cannot fail")
    }

    /// The user in whose name `token` speaks.
    ///
    /// # Errors
    /// See [`TokenError`]; nothing was looked up.
    pub fn read(&self, token: &str) -> Result<UserId, TokenError> {
        let data = jsonwebtoken::decode::<JwtClaims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?;
        data.claims.sub.parse().map(UserId).map_err(|_| TokenError::Invalid)
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// 32 random bytes as text, for a server that was given no secret.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn random_secret() -> Result<String, std::io::Error> {
    let mut bytes = [0_u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Argon2id, 64 KiB, one pass, one lane: the laboratory's cost (about 50 µs).
fn hasher() -> Argon2<'static> {
    let params = Params::new(64, 1, 1, None).expect("the smallest sane parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The PHC string of `password` with a fresh salt.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn hash_password(password: &str) -> Result<String, std::io::Error> {
    let hash = hasher().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| std::io::Error::other(error.to_string()))
}

/// Whether `password` is the one that `stored` was made from. A broken `stored` matches nothing.
pub fn password_matches(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    //! Tokens that must not be believed, and passwords.

    use super::*;

    #[test]
    fn a_minted_token_reads_back() {
        let tokens = Tokens::new(b"one secret");
        assert_eq!(tokens.read(&tokens.mint(UserId(7))), Ok(UserId(7)));
    }

    #[test]
    fn a_token_of_another_secret_is_invalid() {
        let forged = Tokens::new(b"another secret").mint(UserId(7));
        assert_eq!(Tokens::new(b"one secret").read(&forged), Err(TokenError::Invalid));
    }

    #[test]
    fn an_old_token_is_expired() {
        let tokens = Tokens::new(b"one secret");
        let old = tokens.mint_until(UserId(7), SystemTime::now() - Duration::from_secs(2));
        assert_eq!(tokens.read(&old), Err(TokenError::Expired));
    }

    #[test]
    fn alg_none_and_changed_payloads_are_invalid() {
        let tokens = Tokens::new(b"one secret");
        // {"alg":"none","typ":"JWT"} and {"sub":"1","exp":9999999999}
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        assert_eq!(tokens.read(none), Err(TokenError::Invalid));
        let good = tokens.mint(UserId(7));
        let other = tokens.mint(UserId(8));
        let parts: Vec<&str> = good.split('.').collect();
        let others: Vec<&str> = other.split('.').collect();
        let mixed = format!("{}.{}.{}", parts[0], others[1], parts[2]);
        assert_eq!(tokens.read(&mixed), Err(TokenError::Invalid));
        assert_eq!(tokens.read(""), Err(TokenError::Invalid));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        assert!(!format!("{:?}", Tokens::new(b"one secret")).contains("one secret"));
    }

    #[test]
    fn passwords_match_their_own_hash_only() {
        let stored = hash_password("Password1234!").unwrap();
        assert!(password_matches("Password1234!", &stored));
        assert!(!password_matches("password1234!", &stored));
        assert!(!password_matches("", "not a hash"));
        assert_ne!(stored, hash_password("Password1234!").unwrap(), "salted");
    }
}
