//! Every count against its definition, in O(n²) or worse, on small random lines: 50,000 with a
//! fixed seed and as many with a fresh one. A failure names the seed of its own case.

use std::cmp::Reverse;
use std::hash::{BuildHasher, RandomState};

use super::{Dice, place};
use cplock::verify::order::{
    Drought, Fate, FirstCome, Gap, HandOvers, Line, Pair, Passing, Patience, Place,
};

/// Runs `judge` on random lines. Mostly small numbers, so that ties are common.
fn on_random_lines(judge: impl Fn(&[Place], u64, &mut Dice, &str)) {
    for first in [0, RandomState::new().hash_one("lines")] {
        for case in 0..50_000 {
            let seed = first ^ (case << 32);
            let mut dice = Dice(seed);
            let places: Vec<_> = (0..dice.below(10)).map(|_| random_place(&mut dice)).collect();
            let slack =
                if dice.below(50) == 0 { u64::MAX } else { dice.below(4).saturating_sub(1) };
            judge(&places, slack, &mut dice, &format!("seed {seed:#x}: {places:?}, slack {slack}"));
        }
    }
}

fn random_place(dice: &mut Dice) -> Place {
    let key = |dice: &mut Dice| match dice.below(60) {
        0 => u64::MAX,
        1 => u64::MAX - 1,
        _ => dice.below(9),
    };
    let (arrived, from, wait) = (key(dice), key(dice), key(dice));
    // Once in a while the clock jumps, and the end is before the beginning.
    let until = if dice.below(12) == 0 { key(dice) } else { from.saturating_add(wait) };
    let fates = [Fate::Granted, Fate::Granted, Fate::Denied, Fate::GaveUp, Fate::Gone];
    let fate = fates[usize::try_from(dice.below(5)).expect("small")];
    let group = u16::try_from(dice.below(4)).expect("small").checked_sub(1);
    Place { group, ..place(arrived, from, until, fate) }
}

fn surely_before(one: &Place, other: &Place, slack: u64) -> bool {
    u128::from(one.arrived) + u128::from(slack) < u128::from(other.arrived)
}

fn percentile<T: Ord + Copy>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // The smallest value with enough at or below it.
    let enough = |value: &T| {
        100 * sorted.iter().filter(|other| *other <= value).count() >= percent * sorted.len()
    };
    sorted.iter().copied().find(enough)
}

/// Whether the grant of `by` passes `one`, if `by` arrived later.
fn exposed(one: &Place, by: &Place, ever: bool) -> bool {
    by.fate == Fate::Granted && by.until < one.until && (ever || one.from < by.until)
}

fn passing(places: &[Place], slack: u64, ever: bool, asked: &dyn Fn(Fate) -> bool) -> Passing {
    let all = || 0..places.len();
    let granted = |j: &usize| places[*j].fate == Fate::Granted;
    let later = |i: usize, j: usize| surely_before(&places[i], &places[j], slack);
    let passed = |i: usize, j: usize| later(i, j) && exposed(&places[i], &places[j], ever);
    let claims: Vec<usize> = all().filter(|&i| asked(places[i].fate)).collect();
    let suffered = |i: usize| all().filter(|&j| passed(i, j)).count() as u64;
    let counts: Vec<u64> = claims.iter().map(|&i| suffered(i)).collect();
    let ambiguous = |i: usize| {
        all()
            .filter(|&j| exposed(&places[i], &places[j], ever) && !later(i, j) && !later(j, i))
            .count() as u64
    };
    let hit = || claims.iter().copied().filter(|&i| suffered(i) > 0);
    let first = hit().min_by_key(|&i| (places[i].arrived, i));
    let worst = hit().min_by_key(|&i| (Reverse(suffered(i)), places[i].arrived, i));
    let by = |i: usize| all().filter(move |&j| passed(i, j));
    Passing {
        claims: claims.len() as u64,
        comparable: claims
            .iter()
            .map(|&i| all().filter(granted).filter(|&j| later(i, j)).count())
            .sum::<usize>() as u64,
        pairs: counts.iter().sum(),
        ambiguous: claims.iter().map(|&i| ambiguous(i)).sum(),
        overtakers: all().filter(|&j| claims.iter().any(|&i| passed(i, j))).count() as u64,
        overtaken: hit().count() as u64,
        suffered_p99: percentile(&counts, 99).unwrap_or(0),
        suffered_max: counts.iter().copied().max().unwrap_or(0),
        first: first.map(|i| Pair {
            overtaken: i,
            overtaker: by(i).min_by_key(|&j| (places[j].until, places[j].arrived, j)).unwrap(),
        }),
        worst: worst.map(|i| Pair {
            overtaken: i,
            overtaker: by(i).min_by_key(|&j| (Reverse(places[j].arrived), j)).unwrap(),
        }),
    }
}

/// Goal: inversions, overtakes and denied overtakes with their witnesses are what they say.
#[test]
fn passing_agrees_with_its_definition() {
    on_random_lines(|places, slack, _, case| {
        let line = Line::new(places, slack);
        let granted = |fate| fate == Fate::Granted;
        let refused = |fate| matches!(fate, Fate::Denied | Fate::GaveUp);
        assert_eq!(line.inversions(), passing(places, slack, true, &granted), "{case}");
        assert_eq!(line.overtakes(), passing(places, slack, false, &granted), "{case}");
        assert_eq!(line.denied_overtakes(), passing(places, slack, false, &refused), "{case}");
    });
}

/// Goal: tau-b agrees with the sum of signs over all pairs, displacement with the nearest ranks.
#[test]
fn ranks_agree_with_their_definition() {
    on_random_lines(|places, slack, _, case| {
        let line = Line::new(places, slack);
        let granted: Vec<_> = places.iter().filter(|place| place.fate == Fate::Granted).collect();
        let (mut sum, mut by_arrival, mut by_grant, mut inverted) = (0.0, 0.0, 0.0, 0);
        for (n, one) in granted.iter().enumerate() {
            for other in &granted[..n] {
                let sign = |order: std::cmp::Ordering| f64::from(order as i8);
                let arrival = sign(one.arrived.cmp(&other.arrived));
                let grant = sign(one.until.cmp(&other.until));
                sum += arrival * grant;
                by_arrival += arrival.abs();
                by_grant += grant.abs();
                inverted += u64::from(arrival * grant < 0.0);
            }
        }
        let kendall = line.kendall();
        assert_eq!(kendall.discordant, inverted, "{case}");
        let below = f64::sqrt(by_arrival) * f64::sqrt(by_grant);
        match kendall.tau_b {
            Some(tau) => assert!((tau - sum / below).abs() < 1e-12, "{case}: {kendall:?}"),
            None => assert!(below == 0.0, "{case}"),
        }
        let pairs =
            kendall.concordant + kendall.discordant + kendall.tied_arrivals + kendall.tied_grants
                - kendall.tied_both;
        assert_eq!(pairs, (granted.len() * granted.len().saturating_sub(1) / 2) as u64, "{case}");

        let moved = |one: &&&Place| {
            let count = |rule: &dyn Fn(&Place) -> bool| {
                granted.iter().filter(|other| rule(other)).count() as u64
            };
            let arrivals = count(&|other| surely_before(other, one, slack))..count(&|other| {
                !surely_before(one, other, slack)
            });
            let grants =
                count(&|other| other.until < one.until)..count(&|other| other.until <= one.until);
            let distances = arrivals.flat_map(|a| grants.clone().map(move |g| a.abs_diff(g)));
            distances.min().unwrap()
        };
        let moves: Vec<u64> = granted.iter().map(|one| moved(&one)).collect();
        let displacement = line.displacement();
        assert_eq!(displacement.max, moves.iter().copied().max().unwrap_or(0), "{case}");
        assert_eq!(displacement.p99, percentile(&moves, 99).unwrap_or(0), "{case}");
        let worst = (0..places.len())
            .filter(|&i| places[i].fate == Fate::Granted)
            .filter(|&i| displacement.max > 0 && moved(&&&places[i]) == displacement.max)
            .min_by_key(|&i| (places[i].arrived, i));
        assert_eq!(displacement.worst, worst, "{case}");
    });
}

/// Every event as (time, rank of its kind, place), in order: left, released, granted, began.
fn events(places: &[Place], releases: &[u64]) -> Vec<(u64, u8, usize)> {
    let mut events: Vec<_> = releases.iter().map(|&at| (at, 1, 0)).collect();
    for (n, place) in places.iter().enumerate() {
        let waits = place.from < place.until;
        if waits {
            events.push((place.from, 3, n));
        }
        if place.fate == Fate::Granted {
            events.push((place.until, 2, n));
        } else if waits {
            events.push((place.until, 0, n));
        }
    }
    events.sort_unstable();
    events
}

/// Counted from the start: how many of the first `upto` events are of this kind.
fn waiting(places: &[Place], past: &[(u64, u8, usize)]) -> usize {
    let began = past.iter().filter(|event| event.1 == 3).count();
    let ended = past.iter().filter(|event| matches!(event.1, 0 | 2));
    began - ended.filter(|event| places[event.2].from < places[event.2].until).count()
}

fn hand_overs(places: &[Place], releases: &[u64], permits: u32) -> HandOvers {
    let events = events(places, releases);
    let held = |upto: usize| {
        let of = |kind| events[..upto].iter().filter(move |event| event.1 == kind);
        let count = |kind| i64::try_from(of(kind).count()).expect("few events");
        count(2) - count(1)
    };
    let idle = |k: &usize| waiting(places, &events[..=*k]) == 0;
    let (mut lengths, mut longest, mut taken) = (Vec::new(), None::<Gap>, Vec::new());
    let opens = |k: usize| events[k].1 == 1 && !idle(&k) && held(k + 1) < i64::from(permits);
    for (k, &(at, kind, granted)) in events.iter().enumerate() {
        // The oldest open release since which somebody has waited at every moment.
        let unbroken = |r: &usize| !(*r..k).any(|between| idle(&between));
        let open = (0..k).find(|r| opens(*r) && !taken.contains(r) && unbroken(r));
        if let Some(r) = open.filter(|_| kind == 2) {
            taken.push(r);
            let gap = Gap { released: events[r].0, granted, length: at - events[r].0 };
            lengths.push(gap.length);
            longest = longest.filter(|longest| longest.length >= gap.length).or(Some(gap));
        }
    }
    HandOvers {
        gaps: lengths.len() as u64,
        abandoned: ((0..events.len()).filter(|&k| opens(k)).count() - lengths.len()) as u64,
        median: percentile(&lengths, 50),
        p99: percentile(&lengths, 99),
        total: lengths.iter().copied().fold(0, u64::saturating_add),
        longest,
    }
}

/// The longest time between two moments with a claim waiting throughout every moment in between
/// and no grant inside.
fn drought(places: &[Place]) -> Option<(u64, u64)> {
    let mut moments: Vec<u64> = places.iter().flat_map(|p| [p.from, p.until]).collect();
    moments.sort_unstable();
    moments.dedup();
    let through = |a: u64, b: u64| places.iter().any(|p| p.from <= a && b <= p.until && a < b);
    let dry = |from: usize, until: usize| {
        let inner = &moments[from + 1..until];
        (from..until).all(|k| through(moments[k], moments[k + 1]))
            && inner.iter().all(|m| places.iter().any(|p| p.from < *m && *m < p.until))
            && !places.iter().any(|p| p.fate == Fate::Granted && inner.contains(&p.until))
    };
    let all = (0..moments.len()).flat_map(|a| (a + 1..moments.len()).map(move |b| (a, b)));
    all.filter(|&(a, b)| dry(a, b))
        .map(|(a, b)| (moments[a], moments[b]))
        .min_by_key(|&(from, until)| (Reverse(until - from), from))
}

/// Goal: hand-over gaps agree with a recount of every event, droughts with all pairs of moments.
#[test]
fn gaps_agree_with_their_definition() {
    on_random_lines(|places, slack, dice, case| {
        let line = Line::new(places, slack);
        let releases: Vec<_> = (0..dice.below(7)).map(|_| dice.below(18)).collect();
        let permits = u32::try_from(dice.below(4)).expect("small");
        let expected = hand_overs(places, &releases, permits);
        let found = line.hand_overs(&releases, permits);
        assert_eq!(found, expected, "{case}, {releases:?}, {permits} permits");

        let patience = Patience { wait: dice.below(9), medians: 1, overtakes: dice.below(4) };
        let starvation = line.starvation(patience);
        let waits: Vec<_> = places.iter().map(|p| p.until.saturating_sub(p.from)).collect();
        let limit = patience.wait.max(percentile(&waits, 50).unwrap_or(0));
        let suffered = |one: &Place| {
            let passed = |by: &&Place| surely_before(one, by, slack) && exposed(one, by, false);
            places.iter().filter(passed).count() as u64
        };
        let starves = |long: bool, often: bool| {
            let rule = |p: &&Place| {
                long && p.until.saturating_sub(p.from) > limit
                    || often && suffered(p) > patience.overtakes
            };
            places.iter().filter(rule).count() as u64
        };
        assert_eq!(
            (starvation.wait_limit, starvation.median_wait),
            (limit, percentile(&waits, 50))
        );
        assert_eq!(starvation.starved, starves(true, true), "{case}");
        assert_eq!(starvation.by_wait, starves(true, false), "{case}");
        assert_eq!(starvation.by_overtakes, starves(false, true), "{case}");
        let order = |i: usize| (places[i].arrived, i);
        let most = (0..places.len())
            .filter(|&i| suffered(&places[i]) > 0)
            .min_by_key(|&i| (Reverse(suffered(&places[i])), order(i)));
        assert_eq!(starvation.most_overtaken, most, "{case}");
        let longest = (0..places.len()).min_by_key(|&i| (Reverse(waits[i]), order(i)));
        assert_eq!(starvation.longest_wait, longest, "{case}");
        let found = starvation.drought.map(|Drought { from, until, .. }| (from, until));
        assert_eq!(found, drought(places), "{case}");
        if let Some(Drought { until, claim, .. }) = starvation.drought {
            assert!(places[claim].from < until && until <= places[claim].until, "{case}");
        }
    });
}

/// Goal: misallocation, service after a refusal and Jain's index are what they say.
#[test]
fn shares_agree_with_their_definition() {
    on_random_lines(|places, slack, dice, case| {
        let line = Line::new(places, slack);
        let units = dice.below(8);
        assert_eq!(line.first_come(units), first_come(places, slack, units), "{case}, {units}");

        let granted = |i: &usize| places[*i].fate == Fate::Granted;
        let denied = |i: &usize| places[*i].fate == Fate::Denied;
        let all = || 0..places.len();
        let after = |i: usize, j: usize| places[i].until < places[j].from;
        let served =
            || all().filter(granted).filter(|&j| all().filter(denied).any(|i| after(i, j)));
        let refused = all().filter(denied).filter(|&i| all().filter(granted).any(|j| after(i, j)));
        let pairs = all()
            .filter(denied)
            .map(|i| all().filter(granted).filter(|&j| after(i, j)).count())
            .sum::<usize>();
        let found = line.served_after_refusal();
        assert_eq!(found.served, served().count() as u64, "{case}");
        assert_eq!(found.refused, refused.count() as u64, "{case}");
        assert_eq!(found.pairs, pairs as u64, "{case}");
        let refusal = all().filter(denied).min_by_key(|&i| (places[i].until, i));
        let first = served().min_by_key(|&j| (places[j].from, j));
        let worst = served().min_by_key(|&j| (Reverse(places[j].from), places[j].arrived, j));
        let pair = |j: usize| Pair { overtaken: refusal.unwrap(), overtaker: j };
        assert_eq!((found.first, found.worst), (first.map(pair), worst.map(pair)), "{case}");

        let shares: Vec<f64> = (0..3)
            .map(Some)
            .filter_map(|group| {
                let mut members = places.iter().filter(|place| place.group == group).peekable();
                members.peek()?;
                Some(members.filter(|place| place.fate == Fate::Granted).map(|_| 1.0).sum())
            })
            .collect();
        let jain = line.jain();
        assert_eq!(jain.groups, shares.len() as u64, "{case}");
        let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, sq), x| (sum + x, sq + x * x));
        match jain.grants {
            Some(index) => assert!(
                (index * squares * f64::from(u32::try_from(shares.len()).unwrap()) - sum * sum)
                    .abs()
                    < 1e-9,
                "{case}"
            ),
            None => assert!(sum == 0.0, "{case}"),
        }
    });
}

/// Goal: with measured arrivals that are off by up to half the slack, the true counts lie within
/// the bounds that are given; and neither the order of the places nor their epoch matters.
#[test]
fn the_truth_lies_within_the_bounds() {
    on_random_lines(|places, _, dice, case| {
        let off = dice.below(4);
        let truth: Vec<Place> = places
            .iter()
            .map(|place| Place { arrived: 10 + place.arrived.min(1_000), ..*place })
            .collect();
        let mut measured = truth.clone();
        for place in &mut measured {
            place.arrived = place.arrived + dice.below(2 * off + 1) - off;
        }
        let (exact, bounds) = (Line::new(&truth, 0), Line::new(&measured, 2 * off));
        for metric in [Line::inversions, Line::overtakes, Line::denied_overtakes] {
            let (exact, bounds) = (metric(&exact), metric(&bounds));
            // Equal true arrivals are no order: what is ambiguous without slack may be either.
            assert!(bounds.pairs <= exact.pairs + exact.ambiguous, "{case}, off by {off}");
            assert!(exact.pairs <= bounds.pairs + bounds.ambiguous, "{case}, off by {off}");
        }
        let units = dice.below(8);
        let (exact, bounds) = (exact.first_come(units), bounds.first_come(units));
        let most = exact.passed_over + exact.undecided;
        assert!(bounds.passed_over <= most, "{case}, off by {off}");
        assert!(exact.passed_over <= bounds.passed_over + bounds.undecided, "{case}");

        let moved: Vec<Place> = truth
            .iter()
            .rev()
            .map(|place| Place {
                arrived: place.arrived + 7,
                from: place.from.min(1_000) + 5,
                until: place.until.min(1_000) + 5,
                ..*place
            })
            .collect();
        let again: Vec<Place> = moved
            .iter()
            .rev()
            .map(|place| Place {
                arrived: place.arrived * 3,
                from: place.from * 2,
                until: place.until * 2,
                ..*place
            })
            .collect();
        let (moved, again) = (Line::new(&moved, off), Line::new(&again, off * 3));
        let counts = |line: &Line<'_>| {
            let passing = line.overtakes();
            let served = line.served_after_refusal();
            (
                (passing.pairs, passing.ambiguous, passing.overtakers, passing.suffered_p99),
                (line.kendall(), line.displacement().max, line.displacement().p99),
                (served.pairs, served.served, line.first_come(units).passed_over),
            )
        };
        assert_eq!(counts(&moved), counts(&again), "{case}");
    });
}

fn first_come(places: &[Place], slack: u64, units: u64) -> FirstCome {
    let eligible: Vec<usize> =
        (0..places.len()).filter(|&i| places[i].fate != Fate::Gone).collect();
    let before = |one: usize, other: usize| surely_before(&places[one], &places[other], slack);
    // The best and the worst rank that it may have had.
    let best = |i: usize| eligible.iter().filter(|&&j| before(j, i)).count() as u64;
    let worst = |i: usize| eligible.iter().filter(|&&j| j != i && !before(i, j)).count() as u64;
    let granted = |i: &usize| places[*i].fate == Fate::Granted;
    let (among, beyond) = (|i: &usize| worst(*i) < units, |i: &usize| best(*i) >= units);
    let order = |i: &usize| (places[*i].arrived, *i);
    let without = || eligible.iter().copied().filter(|i| among(i) && !granted(i));
    let with = || eligible.iter().copied().filter(|i| beyond(i) && granted(i));
    FirstCome {
        eligible: eligible.len() as u64,
        passed_over: without().count() as u64,
        served_instead: with().count() as u64,
        undecided: eligible.iter().filter(|i| !among(i) && !beyond(i)).count() as u64,
        earliest_without: without().min_by_key(order),
        latest_with: with().max_by_key(order),
    }
}
