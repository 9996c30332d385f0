//! Answers that can be checked by hand.

use super::{granted_at, place};
use cplock::verify::order::Fate::{Denied, GaveUp, Gone, Granted};
use cplock::verify::order::{
    Displacement, Drought, FirstCome, Gap, HandOvers, Line, Pair, Passing, Patience, Place,
};

const PATIENT: Patience = Patience { wait: u64::MAX, medians: 0, overtakes: u64::MAX };

fn close(one: Option<f64>, other: f64) -> bool {
    one.is_some_and(|one| (one - other).abs() < 1e-12)
}

fn pair(overtaken: usize, overtaker: usize) -> Pair {
    Pair { overtaken, overtaker }
}

/// Goal: a strict line is blameless in every metric.
#[test]
fn first_come_first_served_is_zero_everywhere() {
    let mut places: Vec<_> = (0..100).map(|n| place(n, n * 10, n * 10 + 15, Granted)).collect();
    places.extend((100..150).map(|n| place(n, n * 10, n * 10 + 15, Denied)));
    let line = Line::new(&places, 0);
    for passing in [line.inversions(), line.overtakes(), line.denied_overtakes()] {
        let blameless = Passing {
            claims: passing.claims,
            comparable: passing.comparable,
            ..Passing::default()
        };
        assert_eq!(passing, blameless);
    }
    assert_eq!(line.inversions().comparable, 100 * 99 / 2);
    assert_eq!(line.displacement(), Displacement::default());
    assert_eq!(line.kendall().tau_b, Some(1.0));
    assert_eq!(line.first_come(100), FirstCome { eligible: 150, ..FirstCome::default() });
    assert_eq!(line.served_after_refusal().pairs, 0);
    let starvation = line.starvation(Patience { wait: 15, medians: 1, overtakes: 0 });
    assert_eq!((starvation.starved, starvation.most_overtaken), (0, None));
}

/// Goal: newest first is the worst order there is, at a size where a quadratic count never ends.
#[test]
fn reversed_order_inverts_every_pair() {
    let n = 300_000;
    let places = granted_at(&(0..n).map(|k| n - k).collect::<Vec<_>>());
    let line = Line::new(&places, 0);
    let overtakes = line.overtakes();
    let last = usize::try_from(n).expect("small") - 1;
    assert_eq!(
        overtakes,
        Passing {
            claims: n,
            comparable: n * (n - 1) / 2,
            pairs: n * (n - 1) / 2,
            ambiguous: 0,
            overtakers: n - 1,
            overtaken: n - 1,
            suffered_p99: n / 100 * 99 - 1,
            suffered_max: n - 1,
            first: Some(pair(0, last)),
            worst: Some(pair(0, last)),
        }
    );
    assert_eq!(line.inversions(), overtakes);
    assert_eq!(line.kendall().tau_b, Some(-1.0));
    assert_eq!(line.displacement().max, n - 1);
    assert_eq!(line.displacement().worst, Some(0));
}

/// Goal: one claim that jumps to the head passes exactly those before it.
#[test]
fn one_overtaker_passes_those_before_it() {
    let places = granted_at(&[2, 3, 4, 1, 5]);
    let line = Line::new(&places, 0);
    let overtakes = line.overtakes();
    assert_eq!((overtakes.pairs, overtakes.overtakers, overtakes.overtaken), (3, 1, 3));
    assert_eq!((overtakes.suffered_max, overtakes.first), (1, Some(pair(0, 3))));
    let kendall = line.kendall();
    assert_eq!((kendall.concordant, kendall.discordant), (7, 3));
    assert!(close(kendall.tau_b, 0.4));
    assert_eq!(line.displacement(), Displacement { p99: 3, max: 3, worst: Some(3) });
}

/// Goal: a claim is overtaken only while it waits, and never after it gave up.
#[test]
fn only_who_waits_is_overtaken() {
    // Arrived first at the door, but stood in the line only after the second had been granted.
    let late = [place(1, 50, 90, Granted), place(2, 10, 40, Granted)];
    let line = Line::new(&late, 0);
    assert_eq!((line.inversions().pairs, line.overtakes().pairs), (1, 0));
    // In the same moment: nobody can say that it was waiting already.
    let tie = [place(1, 40, 90, Granted), place(2, 10, 40, Granted)];
    assert_eq!(Line::new(&tie, 0).overtakes().pairs, 0);

    for (until, passed) in [(39, 0), (40, 0), (41, 1)] {
        for (fate, counts) in [(GaveUp, 1), (Denied, 1), (Gone, 0)] {
            let places = [place(1, 0, until, fate), place(2, 10, 40, Granted)];
            let line = Line::new(&places, 0);
            assert_eq!(line.overtakes().pairs, 0, "it was never granted");
            assert_eq!(line.denied_overtakes().pairs, passed * counts, "{fate:?} {until}");
            let worst = (passed * counts == 1).then_some(pair(0, 1));
            assert_eq!(line.denied_overtakes().worst, worst);
            // Whoever left for another reason has still suffered it.
            let starved = line.starvation(Patience { overtakes: 0, ..PATIENT });
            assert_eq!((starved.by_overtakes, starved.starved), (passed, passed));
        }
    }
}

/// Goal: equal keys are no order; the first and the worst witness are the ones they are said to be.
#[test]
fn ties_and_witnesses() {
    let equal_arrivals = [place(7, 0, 2, Granted), place(7, 0, 1, Granted)];
    let inversions = Line::new(&equal_arrivals, 0).inversions();
    assert_eq!((inversions.pairs, inversions.ambiguous, inversions.comparable), (0, 1, 0));
    let equal_grants = [place(1, 0, 5, Granted), place(2, 0, 5, Granted)];
    let inversions = Line::new(&equal_grants, 0).inversions();
    assert_eq!((inversions.pairs, inversions.ambiguous, inversions.comparable), (0, 0, 1));
    assert_eq!(Line::new(&equal_grants, 0).kendall().tau_b, None);

    // By arrival: 2 is passed by 0; 1 by 3, 4 and 0; 3 by 4 and 0; 4 by 0.
    let places = [(9, 1), (6, 8), (5, 2), (7, 4), (8, 3)]
        .map(|(arrived, until)| place(arrived, 0, until, Granted));
    let overtakes = Line::new(&places, 0).overtakes();
    assert_eq!((overtakes.pairs, overtakes.overtaken), (1 + 3 + 2 + 1, 4));
    assert_eq!(overtakes.first, Some(pair(2, 0)));
    assert_eq!((overtakes.suffered_max, overtakes.worst), (3, Some(pair(1, 0))));
}

/// Goal: with clients' clocks only pairs further apart than the slack count, the rest is ambiguous.
#[test]
fn within_the_slack_order_is_ambiguous() {
    let places = [100, 110, 111, 150].map(|sent| place(sent, sent, 1_000 - sent, Granted));
    let counts = |slack| {
        let passing = Line::new(&places, slack).overtakes();
        (passing.pairs, passing.ambiguous, passing.comparable)
    };
    assert_eq!(counts(0), (6, 0, 6));
    assert_eq!(counts(9), (5, 1, 5));
    assert_eq!(counts(10), (4, 2, 4));
    assert_eq!(counts(11), (3, 3, 3));
    assert_eq!(counts(u64::MAX), (0, 6, 0));
    // Arrivals 100 and 110 may have been the other way round; 150 is surely the last.
    assert_eq!(Line::new(&places, 11).displacement().max, 3);
    assert_eq!(Line::new(&places, 50).displacement().max, 0);
}

/// Goal: gaps run from a release that somebody waits for to the next grant, and to nothing else.
#[test]
fn hand_over_gaps_by_hand() {
    let places = [
        place(1, 0, 0, Granted),    // takes the free lock
        place(2, 5, 13, Granted),   // waits at the release at 10: a gap of 3
        place(3, 12, 20, Granted),  // waits at the release at 20, granted in that moment: 0
        place(4, 40, 41, Granted),  // nobody waited at the release at 30: no gap
        place(5, 45, 60, GaveUp),   // waits at the release at 50, leaves: abandoned
        place(6, 60, 70, Granted),  // came when the other left: no gap
        place(7, 72, 89, Granted),  // barges past the next one: ends the gap of 80
        place(8, 71, 100, Granted), // release at 95, granted at 100
    ];
    let line = Line::new(&places, 0);
    let expected = HandOvers {
        gaps: 4,
        abandoned: 1,
        median: Some(3),
        p99: Some(9),
        total: 3 + 9 + 5,
        longest: Some(Gap { released: 80, granted: 6, length: 9 }),
    };
    assert_eq!(line.hand_overs(&[95, 80, 50, 30, 20, 10], 1), expected);
    // With no permits nothing is ever freed; without releases nothing is handed over.
    assert_eq!(line.hand_overs(&[10, 20], 0).gaps, 0);
    assert_eq!(line.hand_overs(&[], 1), HandOvers::default());
}

/// Goal: with two permits, the oldest open release is answered first.
#[test]
fn two_permits_are_handed_over_in_turn() {
    let places = [(0, 0), (0, 0), (1, 14), (2, 19), (3, 30)]
        .map(|(from, until)| place(from, from, until, Granted));
    let hand_overs = Line::new(&places, 0).hand_overs(&[10, 12, 20], 2);
    assert_eq!((hand_overs.gaps, hand_overs.total), (3, 4 + 7 + 10));
    assert_eq!(hand_overs.longest, Some(Gap { released: 20, granted: 4, length: 10 }));
    // Three hold where two may: the first release frees nothing.
    let crowded =
        [(0, 0), (0, 0), (0, 0), (1, 30)].map(|(from, until)| place(from, from, until, Granted));
    let hand_overs = Line::new(&crowded, 0).hand_overs(&[10, 20], 2);
    assert_eq!(hand_overs.longest, Some(Gap { released: 20, granted: 3, length: 10 }));
    assert_eq!(hand_overs.gaps, 1);
}

/// Goal: starved is who waited beyond both limits, or was passed too often; a claim is named.
#[test]
fn starved_claims_and_droughts_by_hand() {
    let mut places = granted_at(&[10, 20, 30, 40]);
    places.push(place(5, 100, 200, GaveUp));
    let line = Line::new(&places, 0);
    let starved = |wait, medians| {
        let found = line.starvation(Patience { wait, medians, overtakes: u64::MAX });
        (found.starved, found.wait_limit)
    };
    assert_eq!(line.starvation(PATIENT).median_wait, Some(30));
    assert_eq!(starved(10, 0), (4, 10));
    assert_eq!(starved(10, 1), (2, 30));
    assert_eq!(starved(39, 1), (2, 39));
    assert_eq!(starved(40, 1), (1, 40));
    assert_eq!(starved(0, u32::MAX), (0, 30 * u64::from(u32::MAX)));
    let found = line.starvation(PATIENT);
    assert_eq!((found.longest_wait, found.most_overtaken), (Some(4), None));
    assert_eq!(found.drought, Some(Drought { from: 100, until: 200, claim: 4 }));

    // A relay: each leaves as the next has come, so somebody waited from 5 to 42; at 42 the last
    // leaves as another comes, which is a break.
    let relay = [(5, 20), (19, 31), (30, 42), (42, 70)]
        .map(|(from, until)| place(from, from, until, GaveUp));
    let found = Line::new(&relay, 0).starvation(PATIENT).drought;
    assert_eq!(found, Some(Drought { from: 5, until: 42, claim: 2 }));
    assert_eq!(Line::new(&[], 0).starvation(PATIENT).drought, None);

    // Passed twice: starved beyond one, not beyond two.
    let passed = granted_at(&[3, 1, 2]);
    let by_overtakes = |overtakes| {
        Line::new(&passed, 0).starvation(Patience { overtakes, ..PATIENT }).by_overtakes
    };
    assert_eq!([by_overtakes(1), by_overtakes(2)], [1, 0]);
    assert_eq!(Line::new(&passed, 0).starvation(PATIENT).most_overtaken, Some(0));
}

/// Goal: of the first to arrive, who got none; of the later ones, who got one.
#[test]
fn units_that_went_past_the_first() {
    let fates = [Granted, Denied, Gone, Granted, Denied, Granted, Denied, Granted];
    let places: Vec<Place> =
        (0..).zip(fates).map(|(n, fate)| place(n * 10, n, 100, fate)).collect();
    let found = Line::new(&places, 0).first_come(4);
    let expected = FirstCome {
        eligible: 7,
        passed_over: 2,
        served_instead: 2,
        undecided: 0,
        earliest_without: Some(1),
        latest_with: Some(7),
    };
    assert_eq!(found, expected);
    // Arrivals 40 and 50 stand on both sides of the limit and may have been exchanged.
    let found = Line::new(&places, 10).first_come(4);
    assert_eq!((found.passed_over, found.served_instead, found.undecided), (1, 1, 2));
    assert_eq!((found.earliest_without, found.latest_with), (Some(1), Some(7)));
    let nothing = Line::new(&places, 0).first_come(0);
    assert_eq!((nothing.passed_over, nothing.served_instead, nothing.undecided), (0, 4, 0));
}

/// Goal: a grant to somebody who asked after a refusal was over is named; overlap is no proof.
#[test]
fn served_after_a_refusal() {
    let places = [
        place(20, 20, 40, Denied),
        place(0, 0, 30, Denied),
        place(5, 5, 20, GaveUp),
        place(30, 30, 50, Granted),
        place(31, 31, 50, Granted),
        place(60, 60, 70, Granted),
        place(61, 61, 70, Denied),
    ];
    let found = Line::new(&places, 0).served_after_refusal();
    assert_eq!((found.served, found.refused, found.pairs), (2, 2, 3));
    assert_eq!((found.first, found.worst), (Some(pair(1, 4)), Some(pair(1, 5))));
}

/// Goal: Jain's index by hand: even is 1, one of m groups with everything is 1/m.
#[test]
fn groups_by_hand() {
    let of = |group, from, until, fate| Place { group, ..place(0, from, until, fate) };
    let even = [of(Some(1), 0, 3, Granted), of(Some(2), 4, 7, Granted), of(None, 0, 9, Granted)];
    let jain = Line::new(&even, 0).jain();
    assert!(close(jain.grants, 1.0) && close(jain.waits, 1.0));
    assert_eq!((jain.groups, jain.fewest, jain.most), (2, Some((1, 1)), Some((1, 1))));
    let uneven = [
        of(Some(3), 0, 2, Granted),
        of(Some(3), 0, 4, Granted),
        of(Some(8), 0, 1, Denied),
        of(Some(9), 5, 5, Gone),
        of(Some(4), 5, 5, Gone),
    ];
    let jain = Line::new(&uneven, 0).jain();
    assert!(close(jain.grants, 0.25), "{jain:?}");
    assert!(close(jain.waits, 16.0 / (4.0 * 10.0)), "{jain:?}");
    assert_eq!((jain.fewest, jain.most), (Some((4, 0)), Some((3, 2))));
    assert_eq!(Line::new(&uneven[3..], 0).jain().grants, None);
    assert_eq!(Line::new(&uneven[3..], 0).jain().waits, None);
}

/// Goal: a place stays small enough for ten million of them.
#[test]
fn a_place_is_32_bytes() {
    assert_eq!(size_of::<Place>(), 32);
}
