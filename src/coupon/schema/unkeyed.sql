-- SQLite, for a planted flaw: `user_coupon` without the key on `request_id`, its rows kept.
CREATE TABLE unkeyed (
    user_coupon_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id        INTEGER NOT NULL REFERENCES users (user_id),
    coupon_id      INTEGER NOT NULL REFERENCES coupons (coupon_id),
    request_id     TEXT    NOT NULL CHECK (length(request_id) <= 64),
    created_us     INTEGER NOT NULL
);
INSERT INTO unkeyed SELECT user_coupon_id, user_id, coupon_id, request_id, created_us
    FROM user_coupon;
DROP TABLE user_coupon;
ALTER TABLE unkeyed RENAME TO user_coupon;
CREATE INDEX user_coupon_by_coupon ON user_coupon (coupon_id, user_coupon_id);
CREATE INDEX user_coupon_by_user ON user_coupon (user_id, coupon_id);
