-- SQLite. Kept in step with the files beside it; the number at the end is `SCHEMA_VERSION`.
-- `cplock_schema` comes first and its row last: a table without a row is an unfinished creation.
CREATE TABLE IF NOT EXISTS cplock_schema (version INTEGER PRIMARY KEY);

-- No CHECK on quantity: a negative stock is a finding, not something to hide.
CREATE TABLE IF NOT EXISTS coupons (
    coupon_id        INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL,
    quantity         INTEGER NOT NULL,
    initial_quantity INTEGER NOT NULL,
    one_per_user     INTEGER NOT NULL DEFAULT 0,
    version          INTEGER NOT NULL DEFAULT 0,
    fence            INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS users (
    user_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT NOT NULL UNIQUE CHECK (length(email) <= 255),
    password_hash TEXT NOT NULL,
    nickname      TEXT NOT NULL,
    address       TEXT NOT NULL
);

-- AUTOINCREMENT: a row id is never used twice, so a remembered id means one row for ever.
CREATE TABLE IF NOT EXISTS user_coupon (
    user_coupon_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id        INTEGER NOT NULL REFERENCES users (user_id),
    coupon_id      INTEGER NOT NULL REFERENCES coupons (coupon_id),
    request_id     TEXT    NOT NULL UNIQUE CHECK (length(request_id) <= 64),
    created_us     INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS user_coupon_by_coupon ON user_coupon (coupon_id, user_coupon_id);
CREATE INDEX IF NOT EXISTS user_coupon_by_user ON user_coupon (user_id, coupon_id);

INSERT INTO cplock_schema (version) VALUES (1);
