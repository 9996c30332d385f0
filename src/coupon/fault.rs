//! What a database can answer instead of a result: each engine's codes, sorted into one closed set.
//!
//! The one place that knows error numbers. What a fault means for a claim is said in `store.rs`.

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use super::StoreError;

/// One failed statement or connection, whatever the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Chosen as a deadlock victim; the server has rolled the transaction back.
    Deadlock,
    /// Waited too long for a row lock. MySQL rolls back the statement only.
    LockWait,
    /// Somebody else committed since the snapshot.
    Conflict,
    /// The engine refuses more work at the moment.
    Busy,
    /// No pooled connection became free in time.
    PoolTimeout,
    /// A unique key has this value already.
    Unique(String),
    /// A foreign key has no parent row. SQLite does not say which.
    ForeignKey(String),
    /// One of our tables does not exist.
    NoTable(String),
    /// The connection broke: the server may or may not have done what was sent last.
    Lost(String),
    /// Anything else, in the engine's words.
    Other(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::PoolTimeout,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Lost(error.to_string()),
            sqlx::Error::Database(answer) => {
                if let Some(answer) = answer.try_downcast_ref::<MySqlDatabaseError>() {
                    mysql(answer.number(), answer.message())
                } else if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
                    postgres(answer.code(), answer.message())
                } else {
                    let code = answer.code().and_then(|code| code.parse().ok());
                    sqlite(code.unwrap_or(0), answer.message())
                }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// By error number, because 1213 shares its SQLSTATE with what others call a conflict.
/// Numbers: MariaDB Knowledge Base and MySQL 8.4 manual, "Error Codes".
fn mysql(number: u16, message: &str) -> Fault {
    let text = message.to_owned();
    match number {
        1213 => Fault::Deadlock,
        1205 | 3572 => Fault::LockWait,
        1020 => Fault::Conflict,
        1040 | 1203 | 1226 => Fault::Busy,
        1062 | 1586 => Fault::Unique(text),
        1216 | 1452 => Fault::ForeignKey(text),
        1146 => Fault::NoTable(text),
        // Shutting down, connection killed, thrown out for idleness.
        1053 | 1927 | 4031 => Fault::Lost(text),
        _ => Fault::Other(format!("{text} (error {number})")),
    }
}

/// By SQLSTATE: PostgreSQL manual, appendix A.
fn postgres(state: &str, message: &str) -> Fault {
    let text = message.to_owned();
    match state {
        "40P01" => Fault::Deadlock,
        "55P03" => Fault::LockWait,
        "40001" => Fault::Conflict,
        "53300" => Fault::Busy,
        "23505" => Fault::Unique(text),
        "23503" => Fault::ForeignKey(text),
        "42P01" => Fault::NoTable(text),
        "57P01" | "57P02" | "57P03" | "57P05" => Fault::Lost(text),
        _ if state.starts_with("08") => Fault::Lost(text),
        _ => Fault::Other(format!("{text} (SQLSTATE {state})")),
    }
}

/// By extended result code: sqlite.org/rescode.html. The low byte is the primary code.
fn sqlite(code: i32, message: &str) -> Fault {
    const ERROR: i32 = 1;
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const BUSY_SNAPSHOT: i32 = 517;
    const FOREIGN_KEY: i32 = 787;
    const PRIMARY_KEY: i32 = 1555;
    const UNIQUE: i32 = 2067;
    let text = message.to_owned();
    match (code, code & 0xff) {
        (BUSY_SNAPSHOT, _) => Fault::Conflict,
        (_, BUSY | LOCKED) => Fault::Busy,
        (PRIMARY_KEY | UNIQUE, _) => Fault::Unique(text),
        (FOREIGN_KEY, _) => Fault::ForeignKey(text),
        (_, ERROR) if text.starts_with("no such table") => Fault::NoTable(text),
        _ => Fault::Other(format!("{text} (code {code})")),
    }
}

/// For everything before a commit: nothing was written.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Deadlock => Self::Deadlock,
            Fault::LockWait => Self::LockWait,
            Fault::Conflict => Self::Conflict,
            Fault::Busy => Self::Busy,
            Fault::PoolTimeout => Self::PoolTimeout,
            Fault::Unique(text) => Self::Duplicate(text),
            Fault::NoTable(text) => Self::Unusable(format!(
                "the coupon tables are missing ({text}); start `cplock serve` on this database once"
            )),
            Fault::ForeignKey(text) | Fault::Lost(text) | Fault::Other(text) => Self::Failed(text),
        }
    }
}

impl Fault {
    /// The same at a COMMIT: only an answer that means "rolled back" leaves no doubt.
    pub(super) fn at_commit(self) -> StoreError {
        match self {
            Self::Deadlock | Self::LockWait | Self::Conflict | Self::Busy => self.into(),
            Self::Unique(text)
            | Self::ForeignKey(text)
            | Self::NoTable(text)
            | Self::Lost(text)
            | Self::Other(text) => StoreError::CommitUnknown(text),
            Self::PoolTimeout => StoreError::CommitUnknown("timed out".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Codes that no flow of this store can provoke. The others are provoked on real databases.

    use super::{Fault, mysql, postgres, sqlite};
    use crate::coupon::StoreError;

    #[test]
    fn codes_that_cannot_be_provoked_are_sorted_by_their_manuals() {
        assert_eq!(sqlite(517, "database is locked"), Fault::Conflict);
        assert_eq!(sqlite(261, "database is locked"), Fault::Busy);
        assert_eq!(sqlite(6, "table is locked"), Fault::Busy);
        assert_eq!(sqlite(13, "full"), Fault::Other("full (code 13)".to_owned()));
        assert_eq!(postgres("40P01", ""), Fault::Deadlock);
        assert_eq!(postgres("55P03", ""), Fault::LockWait);
        assert_eq!(postgres("53300", ""), Fault::Busy);
        assert_eq!(postgres("08006", "gone"), Fault::Lost("gone".to_owned()));
        assert_eq!(mysql(1040, ""), Fault::Busy);
        assert_eq!(mysql(4031, "idle"), Fault::Lost("idle".to_owned()));
    }

    #[test]
    fn a_commit_is_in_doubt_unless_the_database_said_that_it_rolled_back() {
        let lost = Fault::Lost("reset".to_owned());
        assert!(matches!(StoreError::from(lost.clone()), StoreError::Failed(_)));
        assert!(matches!(lost.at_commit(), StoreError::CommitUnknown(_)));
        assert!(matches!(Fault::Other(String::new()).at_commit(), StoreError::CommitUnknown(_)));
        assert!(matches!(Fault::Conflict.at_commit(), StoreError::Conflict));
        assert!(matches!(Fault::Busy.at_commit(), StoreError::Busy));
    }
}
