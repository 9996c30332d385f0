//! What a planted flaw makes of an answer. Nothing here runs in a server without one.
//!
//! Which flaws there are is said in `coupon/flaw.rs`, what they do to rows in `coupon/flawed.rs`.

use super::reply::Refused;
use crate::coupon::flaw::{Flaw, Planted};
use crate::coupon::{Claim, StoreError, Written};

/// What the client is told where `told` was right.
pub(super) fn retold(
    planted: &Planted,
    claim: &Claim,
    told: Result<Written, Refused>,
) -> Result<Written, Refused> {
    let Ok(written) = told else {
        return planted.told_instead(&claim.request).map_or(told, Ok);
    };
    match planted.flaw() {
        Flaw::CommitToldSoldOut if planted.strikes() => {
            planted.manifested();
            Err(Refused::from(&StoreError::SoldOut(claim.coupon)))
        }
        Flaw::WrongNumber if planted.strikes() => {
            planted.manifested();
            let off = if planted.manifestations().is_multiple_of(2) { -1 } else { 1 };
            Ok(Written { quantity: written.quantity + off, ..written })
        }
        Flaw::SharedReplay => {
            planted.newest(claim, written);
            Ok(written)
        }
        Flaw::WrongRow => match (planted.newest(claim, written), planted.strikes()) {
            (Some(before), true) => {
                planted.manifested();
                Ok(Written { row: before.row, ..written })
            }
            _ => Ok(written),
        },
        _ => Ok(written),
    }
}
