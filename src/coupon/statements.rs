//! Every statement that the store sends, once for all three databases.
//!
//! Placeholders are `$1`, `$2` …, each used once and in rising order, so that MySQL can be sent `?`
//! in their places (`db.rs` does it). What the engines cannot say alike is a function of [`Kind`].

use super::db::Kind;

/// Quantity and one-per-user flag of one coupon. No lock is taken.
pub(super) const READ_COUPON: &str =
    "SELECT quantity, one_per_user FROM coupons WHERE coupon_id = $1";

/// Does this user hold this coupon? Naive on purpose: right only under mutual exclusion.
pub(super) const HOLDS_ONE: &str =
    "SELECT user_coupon_id FROM user_coupon WHERE user_id = $1 AND coupon_id = $2 LIMIT 1";

/// One issued unit.
pub(super) const INSERT_ISSUED: &str = "INSERT INTO user_coupon \
     (user_id, coupon_id, request_id, created_us) VALUES ($1, $2, $3, $4)";

/// Writes a quantity that was computed here, from a value read before.
pub(super) const WRITE_QUANTITY: &str = "UPDATE coupons SET quantity = $1 WHERE coupon_id = $2";

/// Forgets the units of one coupon.
pub(super) const DELETE_ISSUED: &str = "DELETE FROM user_coupon WHERE coupon_id = $1";

/// Planted flaws only: loses one row.
pub(super) const DELETE_ROW: &str = "DELETE FROM user_coupon WHERE user_coupon_id = $1";

/// Planted flaws only: one unit back.
pub(super) const INCREMENT: &str =
    "UPDATE coupons SET quantity = quantity + 1 WHERE coupon_id = $1";

/// Planted flaws only, SQLite: `user_coupon` without its key on the request id.
pub(super) const SCHEMA_UNKEYED: &str = include_str!("schema/unkeyed.sql");

/// Forgets one coupon.
pub(super) const DELETE_COUPON: &str = "DELETE FROM coupons WHERE coupon_id = $1";

/// One coupon, whole. Version and fence start at their defaults.
pub(super) const INSERT_COUPON: &str = "INSERT INTO coupons \
     (coupon_id, name, quantity, initial_quantity, one_per_user) VALUES ($1, $2, $3, $4, $5)";

/// What is offered.
pub(super) const DESCRIBE_COUPON: &str =
    "SELECT name, quantity, initial_quantity, one_per_user FROM coupons WHERE coupon_id = $1";

/// Stock and counts of one coupon. One statement, so one consistent read on every engine.
pub(super) const SNAPSHOT: &str = "SELECT c.initial_quantity, c.quantity, \
     (SELECT COUNT(*) FROM user_coupon u WHERE u.coupon_id = c.coupon_id), \
     (SELECT COALESCE(MAX(u.user_coupon_id), 0) FROM user_coupon u \
       WHERE u.coupon_id = c.coupon_id) \
     FROM coupons c WHERE c.coupon_id = $1";

/// One page of one coupon's rows, by keyset.
pub(super) const ROWS_OF_COUPON: &str = "SELECT \
     user_coupon_id, user_id, coupon_id, request_id, created_us FROM user_coupon \
     WHERE coupon_id = $1 AND user_coupon_id > $2 ORDER BY user_coupon_id LIMIT $3";

/// One page of one user's rows, by keyset.
pub(super) const ROWS_OF_USER: &str = "SELECT \
     user_coupon_id, user_id, coupon_id, request_id, created_us FROM user_coupon \
     WHERE user_id = $1 AND user_coupon_id > $2 ORDER BY user_coupon_id LIMIT $3";

/// One user.
pub(super) const INSERT_USER: &str =
    "INSERT INTO users (email, password_hash, nickname, address) VALUES ($1, $2, $3, $4)";

/// One user, by the name used to sign in.
pub(super) const USER_BY_EMAIL: &str =
    "SELECT user_id, email, password_hash, nickname, address FROM users WHERE email = $1";

/// Users numbered $1 to $2 (at most 1,000, the engines' usual bound on recursion), e-mail $3, the
/// number, $4; those that exist already are left as they are.
pub(super) const INSERT_NUMBERED_USERS: &str = "INSERT INTO users \
     (email, password_hash, nickname, address) \
     WITH RECURSIVE seq (n) AS (SELECT CAST($1 AS DECIMAL(19)) UNION ALL \
       SELECT CAST(n + 1 AS DECIMAL(19)) FROM seq WHERE n < $2), \
     wanted (email) AS (SELECT $3 || n || $4 FROM seq) \
     SELECT w.email, $5, w.email, '' FROM wanted w \
     WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.email = w.email)";

/// The ids of the same users, in the order of their numbers.
pub(super) const NUMBERED_USERS: &str = "WITH RECURSIVE \
     seq (n) AS (SELECT CAST($1 AS DECIMAL(19)) UNION ALL \
       SELECT CAST(n + 1 AS DECIMAL(19)) FROM seq WHERE n < $2) \
     SELECT u.user_id FROM seq JOIN users u ON u.email = $3 || n || $4 ORDER BY n";

/// Version of the tables, if they are ours and finished.
pub(super) const SCHEMA_VERSION: &str = "SELECT version FROM cplock_schema";

/// Which of our tables exist here.
pub(super) fn tables(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name IN ('cplock_schema', 'coupons', 'users', 'user_coupon')"
        }
        Kind::MySql => {
            "SELECT CAST(table_name AS CHAR(64)) FROM information_schema.tables \
             WHERE table_schema = DATABASE() \
             AND table_name IN ('cplock_schema', 'coupons', 'users', 'user_coupon')"
        }
        Kind::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
             WHERE table_schema = CURRENT_SCHEMA() \
             AND table_name IN ('cplock_schema', 'coupons', 'users', 'user_coupon')"
        }
    }
}

/// Creates our tables.
pub(super) fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => include_str!("schema/sqlite.sql"),
        Kind::MySql => include_str!("schema/mysql.sql"),
        Kind::Postgres => include_str!("schema/postgres.sql"),
    }
}

/// Keeps other processes out while tables are created. SQLite's write transaction does it alone.
pub(super) fn enter_schema(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Sqlite => None,
        Kind::MySql => Some("SELECT GET_LOCK('cplock_schema', 60)"),
        Kind::Postgres => {
            Some("SELECT 1::BIGINT FROM (SELECT pg_advisory_xact_lock(1668312939)) AS locked")
        }
    }
}

/// Lets them in again, where the end of the transaction does not.
pub(super) fn leave_schema(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Sqlite | Kind::Postgres => None,
        Kind::MySql => Some("SELECT RELEASE_LOCK('cplock_schema')"),
    }
}

/// Settings that decide what a run means, as name and value.
pub(super) fn settings(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "SELECT 'version', sqlite_version() \
             UNION ALL SELECT 'journal_mode', journal_mode FROM pragma_journal_mode \
             UNION ALL SELECT 'synchronous', CAST(synchronous AS TEXT) FROM pragma_synchronous \
             UNION ALL SELECT 'foreign_keys', CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys \
             UNION ALL SELECT 'busy_timeout_ms', CAST(timeout AS TEXT) FROM pragma_busy_timeout"
        }
        Kind::MySql => {
            "SHOW VARIABLES WHERE Variable_name IN ('version', 'version_comment', \
             'tx_isolation', 'transaction_isolation', 'innodb_snapshot_isolation', \
             'innodb_native_foreign_keys', 'innodb_flush_log_at_trx_commit', 'sync_binlog', \
             'log_bin', 'innodb_lock_wait_timeout', 'innodb_deadlock_detect', \
             'innodb_buffer_pool_size', 'max_connections')"
        }
        Kind::Postgres => {
            "SELECT CAST(name AS TEXT), setting FROM pg_settings WHERE name IN \
             ('server_version', 'default_transaction_isolation', 'synchronous_commit', 'fsync', \
             'full_page_writes', 'shared_buffers', 'lock_timeout', 'deadlock_timeout', \
             'max_connections') ORDER BY name"
        }
    }
}
