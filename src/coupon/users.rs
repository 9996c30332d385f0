//! Users of the embedded service: one by one as they sign up, or thousands for a load test.
//!
//! Passwords arrive here as finished hashes.

use std::fmt;

use super::db::{Arg, Intent, Tx};
use super::store::Store;
use super::{StoreError, UserId, statements};

/// How many numbered users one statement makes; engines bound recursion at 1,000.
const CHUNK: u32 = 1_000;

/// One row of `users`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Column `user_id`.
    pub id: UserId,
    /// Column `email`, the unique name used to sign in.
    pub email: String,
    /// Column `password_hash`.
    pub password_hash: String,
    /// Column `nickname`.
    pub nickname: String,
    /// Column `address`.
    pub address: String,
}

/// Without the password hash: secrets are never printed.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("email", &self.email)
            .field("nickname", &self.nickname)
            .finish_non_exhaustive()
    }
}

/// Id, e-mail, password hash, nickname, address.
type UserTuple = (i64, String, String, String, String);

impl Store {
    /// Adds one user. Texts are at most 255 characters.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a known e-mail. Nothing is written then, nor with any other
    /// error but [`StoreError::CommitUnknown`].
    pub async fn create_user(
        &self,
        email: &str,
        password_hash: &str,
        nickname: &str,
        address: &str,
    ) -> Result<UserId, StoreError> {
        let texts = [email, password_hash, nickname, address].map(Arg::Text);
        let mut tx = self.db.begin(Intent::Write).await?;
        let inserted = tx.insert(statements::INSERT_USER, "user_id", &texts).await;
        tx.finish(inserted.map(UserId).map_err(StoreError::from)).await
    }

    /// The user who signs in as `email`, if there is one.
    ///
    /// # Errors
    /// Whatever kept the database from answering.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let rows = self.db.read(statements::USER_BY_EMAIL, &[Arg::Text(email)]).await?;
        Ok(rows.into_iter().next().map(
            |(id, email, password_hash, nickname, address): UserTuple| User {
                id: UserId(id),
                email,
                password_hash,
                nickname,
                address,
            },
        ))
    }

    /// Makes sure that the users `PREFIX1@cplock.test` to `PREFIX<count>@cplock.test` exist, and
    /// tells their ids in that order. New ones get `password_hash`, known ones keep theirs. One
    /// transaction.
    ///
    /// # Errors
    /// None of them is new then, unless it is [`StoreError::CommitUnknown`].
    pub async fn add_users(
        &self,
        count: u32,
        prefix: &str,
        password_hash: &str,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut tx = self.db.begin(Intent::Write).await?;
        let added = add_numbered(&mut tx, count, prefix, password_hash).await;
        tx.finish(added).await
    }
}

/// The users numbered 1 to `count`, and their ids.
async fn add_numbered(
    tx: &mut Tx,
    count: u32,
    prefix: &str,
    password_hash: &str,
) -> Result<Vec<UserId>, StoreError> {
    let mut ids = Vec::new();
    let mut done = 0;
    while done < count {
        let upto = count.min(done.saturating_add(CHUNK));
        let numbered = [
            Arg::Int(i64::from(done) + 1),
            Arg::Int(i64::from(upto)),
            Arg::Text(prefix),
            Arg::Text("@cplock.test"),
            Arg::Text(password_hash),
        ];
        tx.execute(statements::INSERT_NUMBERED_USERS, &numbered).await?;
        let rows: Vec<(i64,)> = tx.all(statements::NUMBERED_USERS, &numbered[..4]).await?;
        ids.extend(rows.into_iter().map(|(id,)| UserId(id)));
        done = upto;
    }
    Ok(ids)
}
