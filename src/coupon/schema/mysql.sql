-- MySQL and MariaDB. Kept in step with the files beside it; the number at the end is
-- `SCHEMA_VERSION`. `cplock_schema` comes first and its row last: each CREATE commits by itself
-- here, and a table without a row is an unfinished creation.
CREATE TABLE IF NOT EXISTS cplock_schema (version BIGINT NOT NULL PRIMARY KEY)
    ENGINE = InnoDB;

-- No CHECK on quantity: a negative stock is a finding, not something to hide.
CREATE TABLE IF NOT EXISTS coupons (
    coupon_id        BIGINT       NOT NULL PRIMARY KEY,
    name             VARCHAR(255) NOT NULL,
    quantity         BIGINT       NOT NULL,
    initial_quantity BIGINT       NOT NULL,
    one_per_user     BIGINT       NOT NULL DEFAULT 0,
    version          BIGINT       NOT NULL DEFAULT 0,
    fence            BIGINT       NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- utf8mb4_bin: texts are equal when their characters are, as on the other two databases.
CREATE TABLE IF NOT EXISTS users (
    user_id       BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email         VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    nickname      VARCHAR(255) NOT NULL,
    address       VARCHAR(255) NOT NULL,
    UNIQUE KEY users_email (email)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The foreign key to coupons is what makes the published run deadlock: an insert takes a shared
-- lock on the parent row, and the update that follows needs it exclusively.
CREATE TABLE IF NOT EXISTS user_coupon (
    user_coupon_id BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id        BIGINT      NOT NULL,
    coupon_id      BIGINT      NOT NULL,
    request_id     VARCHAR(64) NOT NULL,
    created_us     BIGINT      NOT NULL,
    UNIQUE KEY user_coupon_request (request_id),
    KEY user_coupon_by_coupon (coupon_id, user_coupon_id),
    KEY user_coupon_by_user (user_id, coupon_id),
    CONSTRAINT user_coupon_of_user FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT user_coupon_of_coupon FOREIGN KEY (coupon_id) REFERENCES coupons (coupon_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO cplock_schema (version) VALUES (1);
COMMIT;
