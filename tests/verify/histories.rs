//! Small random histories of the monitored objects: what an ideal object would tell, then bent.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;

use super::oracle::{Call, LockOp};
use cplock::verify::monitor::holds::Lock;
use cplock::verify::monitor::{NEVER, Op, dispenser, numbered};

/// Random numbers of a seed: splitmix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next();
        random
    }

    /// A seed that nobody has seen yet.
    pub(super) fn fresh_seed() -> u64 {
        RandomState::new().hash_one(0)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// One of 0, 1, …, `limit` - 1.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One place of a collection of this size.
    pub(super) fn place(&mut self, size: usize) -> usize {
        usize::try_from(self.below(size as u64)).unwrap()
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.place(last + 1));
        }
    }

    fn user(&mut self) -> i64 {
        i64::try_from(self.below(4)).unwrap()
    }

    /// Times of effect for up to `most` operations, ascending, with ties.
    fn instants(&mut self, most: u64) -> Vec<u64> {
        let mut instants: Vec<u64> = (0..=self.below(most)).map(|_| 4 + self.below(12)).collect();
        instants.sort_unstable();
        instants
    }

    /// An interval around an instant, sometimes of no length, sometimes without end.
    fn around(&mut self, instant: u64) -> (u64, u64) {
        let end = if self.chance(3) { NEVER } else { instant + self.below(4) };
        (instant - self.below(4), end)
    }

    /// An interval anywhere.
    fn anywhere(&mut self) -> (u64, u64) {
        let start = self.below(18);
        (start, start + self.below(6))
    }
}

/// A dispenser, with owners of its own, and what its clients were told.
#[derive(Debug, Clone)]
pub(super) struct Dispensed {
    pub(super) stock: u64,
    pub(super) per_user: bool,
    pub(super) owners: BTreeSet<i64>,
    pub(super) ops: Vec<Op<dispenser::Told>>,
}

impl Dispensed {
    pub(super) fn object(&self) -> dispenser::Dispenser<'_> {
        let Self { stock, per_user, ref owners, .. } = *self;
        dispenser::Dispenser { stock, per_user, owners }
    }

    pub(super) fn random(random: &mut Random) -> Self {
        let per_user = random.chance(60);
        let owners = (0..4).filter(|_| per_user && random.chance(10)).collect();
        let mut history = Self { stock: random.below(5), per_user, owners, ops: Vec::new() };
        let (mut issued, mut owned) = (0, history.owners.clone());
        for instant in random.instants(8) {
            let told = history.answer(random, &mut issued, &mut owned);
            let (start, end) = random.around(instant);
            history.ops.push(Op { start, end, told });
        }
        random.shuffle(&mut history.ops);
        for _ in 0..random.below(4) {
            history.bend(random);
        }
        history
    }

    /// What the ideal object tells, or, now and then, nothing.
    fn answer(
        &self,
        random: &mut Random,
        issued: &mut u64,
        owned: &mut BTreeSet<i64>,
    ) -> dispenser::Told {
        use dispenser::Told;
        let user = random.user();
        match random.below(10) {
            0..6 if random.chance(10) => Told::Unknown(user),
            0..6 => {
                let refused = self.per_user && owned.contains(&user);
                let told = if refused {
                    Told::Present(user)
                } else if *issued == self.stock {
                    Told::SoldOut
                } else {
                    *issued += 1;
                    owned.insert(user);
                    Told::Issued(user)
                };
                if random.chance(25) { Told::Unknown(user) } else { told }
            }
            6..8 if self.per_user && owned.contains(&user) => Told::Present(user),
            6..8 if self.per_user => Told::Absent(user),
            _ => Told::Read { remaining: self.stock - *issued },
        }
    }

    /// Changes one thing, most often into something that cannot be.
    fn bend(&mut self, random: &mut Random) {
        use dispenser::Told;
        let place = random.place(self.ops.len());
        let user = random.user();
        let op = &mut self.ops[place];
        match random.below(5) {
            0 | 1 => (op.start, op.end) = random.anywhere(),
            2 => op.end = op.start,
            3 => op.told = Told::Read { remaining: random.below(self.stock + 1) },
            _ => {
                op.told = match random.below(if self.per_user { 6 } else { 4 }) {
                    0 => Told::Issued(user),
                    1 => Told::SoldOut,
                    2 => Told::Read { remaining: random.below(self.stock + 2) },
                    3 => Told::Unknown(user),
                    4 => Told::Present(user),
                    _ => Told::Absent(user),
                }
            }
        }
    }

    /// The same history of other users, in another order of telling, at another time.
    pub(super) fn renamed(&self, random: &mut Random) -> Self {
        use dispenser::Told;
        let mut names: Vec<i64> = vec![-7, 40, i64::MIN, i64::MAX];
        random.shuffle(&mut names);
        let names: HashMap<i64, i64> = (0..4).zip(names).collect();
        let mut other = self.clone();
        other.owners = self.owners.iter().map(|user| names[user]).collect();
        for op in &mut other.ops {
            match &mut op.told {
                Told::Issued(user)
                | Told::Present(user)
                | Told::Absent(user)
                | Told::Unknown(user) => *user = names[user],
                Told::SoldOut | Told::Read { .. } => {}
            }
        }
        shift(&mut other.ops, random.below(1 << 40));
        random.shuffle(&mut other.ops);
        other
    }
}

/// A numbered dispenser and what its clients were told.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) object: numbered::Numbers,
    pub(super) ops: Vec<Op<numbered::Told>>,
}

impl Numbered {
    pub(super) fn random(random: &mut Random) -> Self {
        use numbered::Told;
        let first = random.below(3);
        let last = if random.chance(50) { first + random.below(9) } else { u64::MAX };
        let object = numbered::Numbers { first, last, dense: random.chance(70) };
        let mut next = first;
        let mut ops = Vec::new();
        for instant in random.instants(8) {
            let (start, end) = random.around(instant);
            let told = if random.chance(10) || next > last {
                Told::Unknown
            } else {
                next += if object.dense { 1 } else { 1 + random.below(3) };
                let value = next - 1;
                if random.chance(25) || value > last { Told::Unknown } else { Told::Number(value) }
            };
            ops.push(Op { start, end, told });
        }
        random.shuffle(&mut ops);
        for _ in 0..random.below(3) {
            let place = random.place(ops.len());
            match random.below(3) {
                0 => (ops[place].start, ops[place].end) = random.anywhere(),
                1 => ops[place].end = ops[place].start,
                _ => ops[place].told = Told::Number(first + random.below(9)),
            }
        }
        Self { object, ops }
    }

    /// The same history, in another order of telling, at another time.
    pub(super) fn renamed(&self, random: &mut Random) -> Self {
        let mut other = self.clone();
        shift(&mut other.ops, random.below(1 << 40));
        random.shuffle(&mut other.ops);
        other
    }
}

/// Moves all times but those that never came.
fn shift<T>(ops: &mut [Op<T>], by: u64) {
    for op in ops {
        op.start += by;
        op.end = op.end.saturating_add(by);
    }
}

/// A lock and the calls of its clients. The release of an acquire is somewhere behind it.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    pub(super) object: Lock,
    pub(super) ops: Vec<LockOp>,
}

impl Locked {
    pub(super) fn random(random: &mut Random) -> Self {
        let permits = NonZeroUsize::new(1 + random.place(2)).unwrap();
        let object = Lock { permits, reentrant: random.chance(25) };
        let mut history = Self { object, ops: Vec::new() };
        // As many queues as permits, each one hold after another; or a queue too many.
        let mut free = vec![4; permits.get() + usize::from(random.chance(75))];
        for _ in 0..3 + random.below(3) {
            let queue = random.place(free.len());
            let granted = free[queue] + random.below(2);
            let given_back = granted + random.below(8);
            free[queue] = given_back;
            let from = granted + random.below(3).min(given_back - granted);
            let until = given_back - random.below(3).min(given_back - from);
            let start = granted - random.below(4);
            let end = given_back + random.below(4);
            history.hold(random, (start, from), (until, end));
        }
        for _ in 0..random.below(4) {
            history.bend(random);
        }
        history
    }

    /// One hold: an acquire and, most often, its release.
    fn hold(&mut self, random: &mut Random, acquire: (u64, u64), release: (u64, u64)) {
        let (place, owner) = (self.ops.len(), random.below(4));
        let ((start, end), call) = (acquire, Call::Acquire(owner));
        if random.chance(10) {
            // Nobody knows, so that nobody enters, and nobody releases.
            self.ops.push(LockOp { start, end, call, sure: false });
            return;
        }
        self.ops.push(LockOp { start, end, call, sure: true });
        let ((start, end), call) = (release, Call::Release(place));
        self.ops.push(LockOp { start, end, call, sure: random.chance(80) });
    }

    /// Moves a hold, or lets it begin earlier or end later.
    fn bend(&mut self, random: &mut Random) {
        let place = random.place(self.ops.len());
        let Call::Acquire(_) = self.ops[place].call else { return };
        let by = random.below(16);
        let release = self.ops.iter().position(|op| op.call == Call::Release(place));
        match (random.below(3), release) {
            (0, Some(release)) => {
                for op in [place, release] {
                    self.ops[op].start += by;
                    self.ops[op].end += by;
                }
            }
            (1, Some(release)) => {
                self.ops[release].start += by;
                self.ops[release].end += by;
            }
            _ => self.ops[place].end = self.ops[place].start,
        }
    }
}
