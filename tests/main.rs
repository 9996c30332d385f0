//! Integration tests, linked once: one module a room.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]

mod coupon;
