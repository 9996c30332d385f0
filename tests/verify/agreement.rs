//! Monitors against brute force: on random small histories both say the same, what a monitor names
//! is contradictory by itself, and changes that cannot matter do not.
//!
//! Set `CPLOCK_LONG` for ten times as many histories.

use std::thread;

use super::histories::{Dispensed, Locked, Numbered, Random};
use super::oracle::{self, Call};
use cplock::verify::monitor::dispenser::{self, Claim, Told};
use cplock::verify::monitor::holds::{Exclusion, Hold, Overlap, sweep};
use cplock::verify::monitor::{NEVER, Op, numbered};

/// Histories of each monitor.
const ROUNDS: u64 = 100_000;

/// Seed of the one half of the histories. That of the other half is new in each run.
const SEED: u64 = 0x000c_010c;

/// Runs `one` on many random histories; it tells whether the history was contradictory. Half of
/// them always are the same. A failure names the seed of its history.
///
/// Both answers have to be frequent, or the comparison would show nothing.
#[track_caller]
fn rounds(one: impl Fn(&mut Random) -> Result<bool, String> + Sync) {
    let rounds = if std::env::var_os("CPLOCK_LONG").is_some() { ROUNDS * 10 } else { ROUNDS };
    let run = |seed: u64| {
        (0..rounds / 2).fold(0, |contradictory, round| {
            let seed = seed.wrapping_add(round);
            match one(&mut Random::new(seed)) {
                Ok(found) => contradictory + u64::from(found),
                Err(why) => panic!("seed {seed:#x}: {why}"),
            }
        })
    };
    let contradictory: u64 = thread::scope(|scope| {
        let halves = [SEED, Random::fresh_seed()].map(|seed| scope.spawn(move || run(seed)));
        halves.into_iter().map(|half| half.join().expect("its panic names the seed")).sum()
    });
    let percent = contradictory * 100 / rounds;
    assert!((20..=50).contains(&percent), "{percent} % of the histories are contradictory");
}

/// Makes an interval smaller, so that it allows less.
fn shrink(random: &mut Random, start: &mut u64, end: &mut u64) {
    let length = (*end - *start).min(8);
    *start += random.below(length + 1);
    *end = if random.chance(50) { *end } else { *start + random.below(*end - *start + 1).min(8) };
}

/// Makes an interval larger, so that it allows more.
fn widen(random: &mut Random, start: &mut u64, end: &mut u64) {
    *start = start.saturating_sub(random.below(4));
    *end = end.saturating_add(random.below(4));
}

/// Shrinks an interval of a contradictory history, or widens one of an explained one: neither
/// changes what it is.
fn bend_harmlessly(random: &mut Random, contradictory: bool, start: &mut u64, end: &mut u64) {
    if contradictory {
        shrink(random, start, end);
    } else {
        widen(random, start, end);
    }
}

fn judge(history: &Dispensed) -> Result<(), dispenser::Contradiction> {
    dispenser::check(&history.object(), history.ops.iter().copied())
}

/// Goal: the dispenser's monitor and brute force never disagree, and no witness needs more than
/// what it names.
#[test]
fn the_dispensers_monitor_agrees_with_brute_force() {
    rounds(|random| {
        let mut history = Dispensed::random(random);
        let found = judge(&history);
        if oracle::dispenser(&history.object(), &history.ops) != found.is_ok() {
            return Err(format!("{found:?} of {history:#?}"));
        }
        if let Err(contradiction) = found {
            let apart = witnesses(&history, contradiction);
            if apart.clone().is_none_or(|ops| oracle::dispenser(&history.object(), &ops)) {
                return Err(format!("{contradiction:?} leaves {apart:#?} of {history:#?}"));
            }
        }
        if judge(&history.renamed(random)).is_ok() != found.is_ok() {
            return Err(format!("names, order or time matter to {history:#?}"));
        }
        let place = random.place(history.ops.len());
        let op = &mut history.ops[place];
        bend_harmlessly(random, found.is_err(), &mut op.start, &mut op.end);
        if judge(&history).is_ok() != found.is_ok() {
            return Err(format!("was {found:?} before {place} was bent: {history:#?}"));
        }
        Ok(found.is_err())
    });
}

/// The operations that a contradiction names or counts, if all that it says of them is true.
fn witnesses(
    history: &Dispensed,
    contradiction: dispenser::Contradiction,
) -> Option<Vec<Op<Told>>> {
    use dispenser::Contradiction as Found;
    let ops = &history.ops;
    let of_user = |wanted: i64| ops.iter().filter(move |op| user(op) == Some(wanted)).copied();
    let own = |places: &[usize], wanted: i64| {
        let named: Vec<_> = places.iter().map(|place| ops[*place]).collect();
        named.iter().all(|op| user(op) == Some(wanted)).then_some(named)
    };
    match contradiction {
        Found::BeyondStock { read, remaining } => {
            (ops[read].told == Told::Read { remaining }).then(|| vec![ops[read]])
        }
        Found::ReadsGoBack { earlier, later } => {
            let (first, second) = (ended(history, earlier)?, begun(history, later)?);
            let back = first.end < second.start && earlier.issued > later.issued;
            back.then(|| [vec![first, second], ample(history)].concat())
        }
        Found::NeverRequested { read, requested } => {
            let jobs = jobs(history).into_iter().filter(|job| job.from <= read.at);
            let jobs: Vec<_> = jobs.collect();
            let true_count = jobs.len() as u64 == requested && requested < read.issued;
            with_jobs(vec![ended(history, read)?], jobs, true_count)
        }
        Found::NotVisible { after, read, issued } => {
            let named = vec![begun(history, read)?];
            between(history, after, Some(read), issued, named)
        }
        Found::Oversold { after, issued } => between(history, after, None, issued, Vec::new()),
        Found::IssuedTwice { user, first: Some(first), second } => {
            (first != second).then(|| own(&[first, second], user)).flatten()
        }
        Found::IssuedTwice { user, first: None, second: op }
        | Found::Disowned { user, owned: None, absent: op } => own(&[op], user),
        Found::NeverAsked { user, claim, request: Some(request) } => {
            (ops[claim].end < ops[request].start).then(|| own(&[claim, request], user)).flatten()
        }
        Found::NeverAsked { user, .. } => Some(of_user(user).collect()),
        Found::Disowned { user, owned: Some(owned), absent } => {
            // The word that the user owns one needs a request, or it is contradictory anyway.
            own(&[owned, absent], user)?;
            (ops[owned].end < ops[absent].start).then(|| of_user(user).collect())
        }
    }
}

/// Requests enough to explain any claim, so that what is left to blame is not the lack of them.
fn ample(history: &Dispensed) -> Vec<Op<Told>> {
    let request = |user| Op { start: 0, end: NEVER, told: Told::Unknown(user) };
    (100..).map(request).zip(0..history.stock).map(|(request, _)| request).collect()
}

/// The read of a claim that matters by its end, if the claim is what it says.
fn ended(history: &Dispensed, claim: Claim) -> Option<Op<Told>> {
    let op = history.ops[claim.op];
    (claimed(history, op)? == claim.issued && op.end == claim.at).then_some(op)
}

/// The read of a claim that matters by its start, if the claim is what it says.
fn begun(history: &Dispensed, claim: Claim) -> Option<Op<Told>> {
    let op = history.ops[claim.op];
    (claimed(history, op)? == claim.issued && op.start == claim.at).then_some(op)
}

fn claimed(history: &Dispensed, op: Op<Told>) -> Option<u64> {
    match op.told {
        Told::Read { remaining } => history.stock.checked_sub(remaining),
        Told::SoldOut => Some(history.stock),
        _ => None,
    }
}

fn user(op: &Op<Told>) -> Option<i64> {
    match op.told {
        Told::Issued(user) | Told::Present(user) | Told::Absent(user) | Told::Unknown(user) => {
            Some(user)
        }
        Told::SoldOut | Told::Read { .. } => None,
    }
}

/// A unit that may have been issued, and the operations that say so.
struct Job {
    from: u64,
    /// When it surely was issued.
    until: Option<u64>,
    ops: Vec<Op<Told>>,
}

/// Jobs of a history whose users do not contradict each other, the slow and simple way.
fn jobs(history: &Dispensed) -> Vec<Job> {
    let requests =
        history.ops.iter().filter(|op| matches!(op.told, Told::Issued(_) | Told::Unknown(_)));
    let issued = |op: &Op<Told>| matches!(op.told, Told::Issued(_)).then_some(op.end);
    if !history.per_user {
        let job = |op: &Op<Told>| Job { from: op.start, until: issued(op), ops: vec![*op] };
        return requests.map(job).collect();
    }
    let mut users: Vec<_> = requests.filter_map(user).collect();
    users.sort_unstable();
    users.dedup();
    users.retain(|user| !history.owners.contains(user));
    let job = |name: i64| {
        let ops: Vec<_> = history.ops.iter().filter(|op| user(op) == Some(name)).copied().collect();
        let begin = |told| ops.iter().filter(move |op| op.told == told).map(|op| op.start);
        let asked = begin(Told::Issued(name)).next().or(begin(Told::Unknown(name)).min());
        let absent = begin(Told::Absent(name)).max();
        let present = ops.iter().filter(|op| op.told == Told::Present(name)).map(|op| op.end);
        let until = ops.iter().filter_map(issued).chain(present).min();
        Job { from: asked.max(absent).expect("this user asked"), until, ops }
    };
    users.into_iter().map(job).collect()
}

/// The named reads and the issues that lie wholly between two claims, if there are as many as told
/// and they do not fit.
fn between(
    history: &Dispensed,
    after: Option<Claim>,
    before: Option<Claim>,
    issued: u64,
    mut named: Vec<Op<Told>>,
) -> Option<Vec<Op<Told>>> {
    named.extend(ample(history));
    if let Some(after) = after {
        named.push(ended(history, after)?);
    }
    let jobs = jobs(history).into_iter().filter(|job| {
        job.until.is_some_and(|until| before.is_none_or(|read| until < read.at))
            && after.is_none_or(|read| read.at < job.from)
    });
    let jobs: Vec<_> = jobs.collect();
    let had = after.map_or(0, |read| read.issued);
    let room = before.map_or(history.stock, |read| read.issued) - had;
    let true_count = jobs.len() as u64 == issued && issued > room;
    with_jobs(named, jobs, true_count)
}

fn with_jobs(mut named: Vec<Op<Told>>, jobs: Vec<Job>, true_count: bool) -> Option<Vec<Op<Told>>> {
    named.extend(jobs.into_iter().flat_map(|job| job.ops));
    true_count.then_some(named)
}

/// Goal: the monitor of numbers and brute force never disagree, and no witness needs more than what
/// it names.
#[test]
fn the_monitor_of_numbers_agrees_with_brute_force() {
    let judge = |history: &Numbered| numbered::check(&history.object, history.ops.iter().copied());
    rounds(|random| {
        let mut history = Numbered::random(random);
        let found = judge(&history);
        if oracle::numbered(&history.object, &history.ops) != found.is_ok() {
            return Err(format!("{found:?} of {history:#?}"));
        }
        if let Err(contradiction) = found {
            let apart = numbers(&history, contradiction);
            if apart.clone().is_none_or(|ops| oracle::numbered(&history.object, &ops)) {
                return Err(format!("{contradiction:?} leaves {apart:#?} of {history:#?}"));
            }
        }
        if judge(&history.renamed(random)).is_ok() != found.is_ok() {
            return Err(format!("order or time matters to {history:#?}"));
        }
        let place = random.place(history.ops.len());
        let op = &mut history.ops[place];
        bend_harmlessly(random, found.is_err(), &mut op.start, &mut op.end);
        if judge(&history).is_ok() != found.is_ok() {
            return Err(format!("was {found:?} before {place} was bent: {history:#?}"));
        }
        Ok(found.is_err())
    });
}

/// The operations that a contradiction names or counts, if all that it says of them is true. Of
/// dense numbers, what is below a pair is filled up, so that no gap is left to blame.
fn numbers(
    history: &Numbered,
    contradiction: numbered::Contradiction,
) -> Option<Vec<Op<numbered::Told>>> {
    use numbered::{Contradiction as Found, Told};
    let ops = &history.ops;
    let told = |op: usize, value: u64| ops[op].told == Told::Number(value);
    let fill = |mut named: Vec<Op<Told>>, below: u64| {
        let known: Vec<_> = named.iter().map(|op| op.told).collect();
        let filled = (history.object.first..below).map(Told::Number);
        named.extend(filled.filter(|told| !known.contains(told)).map(|told| Op {
            start: 0,
            end: NEVER,
            told,
        }));
        named
    };
    match contradiction {
        Found::OutOfRange { op, value } => {
            told(op, value).then(|| fill(vec![ops[op]], value.min(9)))
        }
        Found::Duplicate { value, first, second } => {
            (told(first, value) && told(second, value) && first < second)
                .then(|| fill(vec![ops[first], ops[second]], value))
        }
        Found::OutOfOrder { earlier, later } => {
            let (first, second) = (ops[earlier.op], ops[later.op]);
            let holds = told(earlier.op, earlier.value)
                && told(later.op, later.value)
                && first.end == earlier.at
                && second.start == later.at
                && first.end < second.start
                && earlier.value > later.value;
            holds.then(|| fill(vec![first, second], earlier.value))
        }
        Found::Gap { number, unseen, unknown } => {
            let below = |op: &Op<Told>| matches!(op.told, Told::Number(v) if v < number.value);
            let sent = |op: &Op<Told>| op.told == Told::Unknown && op.start <= number.at;
            let seen = ops.iter().filter(|op| below(op)).count() as u64;
            let holds = told(number.op, number.value)
                && ops[number.op].end == number.at
                && number.value - history.object.first - seen == unseen
                && ops.iter().filter(|op| sent(op)).count() as u64 == unknown
                && unknown < unseen;
            let named = ops.iter().filter(|op| below(op) || sent(op)).copied();
            holds.then(|| named.chain([ops[number.op]]).collect())
        }
    }
}

/// The definite holds of a history, each under the place of its acquire; of other calls, none.
fn definite(history: &Locked) -> Vec<Hold> {
    let hold = |place: usize| {
        let op = history.ops[place];
        let release = history.ops.iter().find(|op| op.call == Call::Release(place));
        match op.call {
            Call::Acquire(owner) if op.sure => {
                Hold { owner, from: op.end, until: release.map_or(NEVER, |op| op.start) }
            }
            Call::Acquire(_) | Call::Release(_) => Hold { owner: 0, from: 1, until: 0 },
        }
    };
    (0..history.ops.len()).map(hold).collect()
}

fn excluded(history: &Locked) -> Exclusion {
    sweep(&history.object, definite(history).into_iter())
}

/// Goal: the monitor of locks and brute force never disagree, and its numbers are those of a
/// comparison of all pairs.
#[test]
fn the_monitor_of_locks_agrees_with_brute_force() {
    rounds(|random| {
        let mut history = Locked::random(random);
        let found = excluded(&history);
        let contradictory = found.violations > 0;
        if oracle::lock(&history.object, &history.ops) == contradictory {
            return Err(format!("{found:?} of {history:#?}"));
        }
        if !history.object.reentrant && numbers_by_pairs(&history) != numbers_of(&found) {
            return Err(format!("{found:?} are not the numbers of {history:#?}"));
        }
        let place = random.place(history.ops.len());
        let op = &mut history.ops[place];
        // A release is never sent before its acquire ended: only the outer ends may move.
        let by = random.below(5);
        match (op.call, contradictory) {
            (Call::Acquire(_), false) => op.start = op.start.saturating_sub(by),
            (Call::Acquire(_), true) => op.end = op.start + by.min(op.end - op.start),
            (Call::Release(_), false) => op.end += by,
            (Call::Release(_), true) => op.start = op.end - by.min(op.end - op.start),
        }
        for op in &mut history.ops {
            (op.start, op.end) = (op.start + 1000, op.end + 1000);
        }
        if (excluded(&history).violations > 0) != contradictory {
            return Err(format!("was {found:?} before {place} was bent: {history:#?}"));
        }
        Ok(contradictory)
    });
}

/// Violations, depth, and moment of the first and length of the worst violation.
type Numbers = (u64, u64, Option<u64>, Option<u64>);

fn numbers_of(found: &Exclusion) -> Numbers {
    let length = |overlap: Overlap| overlap.until - overlap.from;
    (found.violations, found.deepest, found.first.map(|first| first.from), found.worst.map(length))
}

/// The same of a lock that is not reentrant, by looking at all others for each hold.
fn numbers_by_pairs(history: &Locked) -> Numbers {
    let mut holds: Vec<_> = definite(history).into_iter().filter(|h| h.from <= h.until).collect();
    holds.sort_by_key(|hold| (hold.from, hold.until));
    let permits = history.object.permits.get();
    let mut numbers = (0, 0, None, None);
    for (place, hold) in holds.iter().enumerate() {
        let inside = holds[..place].iter().filter(|other| hold.from < other.until);
        let mut leave: Vec<_> = inside.map(|other| other.until).collect();
        leave.sort_unstable();
        leave.reverse();
        numbers.1 = numbers.1.max(leave.len() as u64 + 1);
        if let Some(first_to_leave) = leave.get(permits - 1) {
            numbers.0 += 1;
            numbers.2 = numbers.2.or(Some(hold.from));
            numbers.3 = numbers.3.max(Some(hold.until.min(*first_to_leave) - hold.from));
        }
    }
    numbers
}
