//! Size: a million attempts are judged in near-linear time.

use std::time::Instant;

use super::sound;
use cplock::verify::{Ruling, audit, order};

/// Goal: twenty times the attempts take nowhere near four hundred times as long. The limit is wide,
/// since an unoptimised build on a shared machine is slow; a quadratic join misses it by far.
#[test]
fn a_million_attempts_are_judged_in_near_linear_time() {
    let mut times = Vec::new();
    for issued in [40_000, 800_000] {
        let mut books = sound(issued, issued, issued / 4);
        for (n, attempt) in (0_u64..).zip(books.attempts.as_mut().expect("sound")) {
            (attempt.facts.arrival, attempt.facts.grant) = (Some(n), Some(n ^ 0x3f));
        }
        let books = books.of_run("r");
        let begun = Instant::now();
        assert_eq!(audit(&books).verdict, Ruling::Pass);
        assert!(order(books.attempts.as_ref().expect("sound")).overtakes > 0);
        times.push(begun.elapsed());
    }
    assert!(
        times[1] < times[0] * 100,
        "40,000 took {:?} and 800,000 took {:?}",
        times[0],
        times[1]
    );
}
