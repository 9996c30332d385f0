//! The short form for reports: known cases, and every small history against the definition.

use crate::verify::attempt;
use cplock::ledger::attempts::Attempts;
use cplock::ledger::{Attempt, Outcome};
use cplock::verify::{Order, order, waits};
use proptest::prelude::*;

/// Attempts with these (arrival, grant) numbers.
fn attempts(pairs: &[(Option<u64>, Option<u64>)]) -> Vec<Attempt> {
    let made = pairs.iter().map(|&(arrival, grant)| {
        let mut attempt = attempt(1, Outcome::Acknowledged);
        (attempt.facts.arrival, attempt.facts.grant) = (arrival, grant);
        attempt
    });
    made.collect()
}

fn columns(attempts: &[Attempt]) -> Attempts {
    attempts.iter().collect()
}

fn order_of(attempts: &[Attempt]) -> Order {
    order(&columns(attempts))
}

/// The definition, in O(n²).
fn by_definition(attempts: &[Attempt]) -> Order {
    let pairs: Vec<_> =
        attempts.iter().filter_map(|a| a.facts.arrival.zip(a.facts.grant)).collect();
    let past = |i: &(u64, u64)| pairs.iter().filter(|j| j.0 < i.0 && i.1 < j.1).count() as u64;
    Order {
        granted: pairs.len() as u64,
        overtakes: pairs.iter().map(past).sum(),
        overtakers: pairs.iter().filter(|i| past(i) > 0).count() as u64,
    }
}

/// Goal: nobody overtakes in arrival order; the last arrival granted first overtakes everybody.
#[test]
fn overtakes_of_known_orders() {
    let line: Vec<_> = (1..=5).map(|n| (Some(n), Some(n))).collect();
    assert_eq!(order_of(&attempts(&line)), Order { granted: 5, overtakes: 0, overtakers: 0 });
    let newest_first: Vec<_> = (1..=5).map(|n| (Some(n), Some(6 - n))).collect();
    assert_eq!(
        order_of(&attempts(&newest_first)),
        Order { granted: 5, overtakes: 10, overtakers: 4 }
    );
    let never_granted = [(Some(1), None), (Some(2), Some(1)), (None, Some(2))];
    assert_eq!(order_of(&attempts(&never_granted)), Order { granted: 1, ..Order::default() });
    assert_eq!(order_of(&[]), Order::default());
}

/// Goal: medians are of those attempts that carry the number.
#[test]
fn medians_skip_attempts_that_do_not_say() {
    let mut three = attempts(&[(None, None); 4]);
    for (attempt, wait) in three.iter_mut().zip([30, 10, 20]) {
        attempt.facts.wait_us = Some(wait);
    }
    assert_eq!(waits(&columns(&three)).wait_p50_us, Some(20));
    assert_eq!(waits(&columns(&three)).hold_p50_us, None);
}

proptest! {
    /// Goal: the fast count agrees with the definition, ties and extremes included.
    #[test]
    fn the_fast_count_agrees_with_the_definition(
        pairs in prop::collection::vec((number(), number()), 0..40)
    ) {
        let attempts = attempts(&pairs);
        prop_assert_eq!(order_of(&attempts), by_definition(&attempts));
    }
}

/// Mostly small numbers, so that ties are common.
fn number() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 8 => (0..12_u64).prop_map(Some), 1 => any::<u64>().prop_map(Some)]
}
