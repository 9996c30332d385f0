//! The anonymous dispenser: a stock that goes down by one at a time, and a yes without a number.
//!
//! The object: `issued` units of `stock`, and the set of owners. A yes needs `issued < stock` (and,
//! with one unit a user, a user who owns none), and adds one; a refusal as sold out needs
//! `issued = stock`; a read tells `stock - issued`. Words about one user are folded into one job in
//! `users.rs`; here only jobs (a unit issued at some time in a window) and reads are left.
//!
//! Why three comparisons decide. Let T(v) be the time of the v-th issue. A read over `[c, d]` that
//! claims x issued says T(x) <= d and c <= T(x+1), no more. Jobs are to be matched with the slots
//! 1, 2, … such that all slots up to the largest claim and all mandatory jobs are taken. The slots
//! that fit a job are a contiguous range, since the bounds of T(v) ascend with v; and sorting the
//! times of a matching gives an order that explains the history. By Mendelsohn and Dulmage (1958)
//! it is enough that the slots can be taken and, apart from that, the jobs can be placed; by Hall
//! (1935) with contiguous ranges, that is so unless
//!
//! 1. some read claims more than there are jobs whose window had begun when that read ended, or
//! 2. more mandatory jobs lie wholly after a read that claims x and before a read that claims y
//!    than y - x; with no read before, x = 0; with no read after, y is the stock.
//!
//! With no job between, (2) is a pair of reads that goes back. Both are searched for their worst
//! case, which is the witness. The rule that a mere optional job never stands in the way (it has no
//! latest time) makes (1) a matter of prefixes.

use std::collections::BTreeSet;

use super::steps::{Bound, Crowd, Step, Steps};
use super::{Op, compact, count, place, users};

/// What one client was told by the dispenser. Users matter where each may hold one unit only; there
/// retries under one idempotency key are to be given as one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Yes: one unit was issued to this user.
    Issued(i64),
    /// No unit is left.
    SoldOut,
    /// So many units are left.
    Read {
        /// Units left, of the stock of before the history.
        remaining: u64,
    },
    /// This user owns a unit: told "already issued", or seen among the owners. Says nothing unless
    /// one user may hold one unit only.
    Present(i64),
    /// This user owns no unit. Says nothing unless one user may hold one unit only.
    Absent(i64),
    /// Nothing: a unit may be issued to this user at any time from the start on, or never; when the
    /// client gave up does not matter.
    Unknown(i64),
}

/// The object that clients asked, as it was before the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispenser<'a> {
    /// Units left; all counts begin here.
    pub stock: u64,
    /// Whether one user may hold one unit only. If not, every request is a job of its own.
    pub per_user: bool,
    /// Who owned a unit already, which is then not part of `stock`. Read only with `per_user`.
    pub owners: &'a BTreeSet<i64>,
}

/// One read (or refusal as sold out) in a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The place of the operation.
    pub op: usize,
    /// Units issued, as it claims: stock less remaining.
    pub issued: u64,
    /// The time of it that matters, in µs: see the field that holds the claim.
    pub at: u64,
}

/// Why no order of the operations explains the history. Each is contradictory by itself, without
/// any operation that it does not name or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// A read told more left than the stock ever was.
    BeyondStock {
        /// The place of the read.
        read: usize,
        /// What it told.
        remaining: u64,
    },
    /// A later read claims fewer issued than an earlier one.
    ReadsGoBack {
        /// The read that had ended at `at`.
        earlier: Claim,
        /// The read that began at `at`, afterwards.
        later: Claim,
    },
    /// A client was told of more units issued than had been asked for.
    NeverRequested {
        /// The read that ended at `at`.
        read: Claim,
        /// Requests sent until then that can have been issued a unit.
        requested: u64,
    },
    /// A read claims too few issued: it does not see issues that were over when it began.
    NotVisible {
        /// The read that had ended at `at` before the first of these issues began, if there is one;
        /// else they count from the beginning.
        after: Option<Claim>,
        /// The read that began at `at`, when all of these issues were over.
        read: Claim,
        /// How many issues began and were over between; more than the claims differ by.
        issued: u64,
    },
    /// More units were issued than the stock.
    Oversold {
        /// The read that had ended at `at` before the first of these issues began, if there is one;
        /// else they count from the beginning.
        after: Option<Claim>,
        /// How many issues began afterwards; more than were left.
        issued: u64,
    },
    /// A unit was issued to somebody who owned one.
    IssuedTwice {
        /// The user.
        user: i64,
        /// The place of the first issue; absent for an owner of before.
        first: Option<usize>,
        /// The place of the second.
        second: usize,
    },
    /// Somebody was told to own a unit without having asked for any by then.
    NeverAsked {
        /// The user.
        user: i64,
        /// The place of the word that the user owns one.
        claim: usize,
        /// The place of the first request that can have issued it, which came later; absent where
        /// there is none.
        request: Option<usize>,
    },
    /// Somebody who surely owned a unit was told to own none.
    Disowned {
        /// The user.
        user: i64,
        /// The place of what proves the unit: a yes, or a word that the user owns one, that had
        /// ended before `absent` began; absent for an owner of before.
        owned: Option<usize>,
        /// The place of the word that the user owns none.
        absent: usize,
    },
}

/// A unit issued at some time in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) from: u64,
    pub(super) until: u64,
    /// Whether it surely was; else it may never have been, and has no latest time.
    pub(super) mandatory: bool,
}

/// Looks for an order of the operations that explains the history. The iterator is gone through a
/// few times (up to 20 with `per_user`) and never collected.
///
/// Time O((n + q) log n), memory 8 bytes a mandatory job, at most 200 a read that matters, and with
/// `per_user` 32 bytes for each of 2^20 operations (from 16 million on: of a sixteenth of them).
///
/// # Errors
/// A contradiction, if and only if there is no such order: a read beyond the stock; else of one
/// user, the one who comes first in the history; else of the counts, the worst of its kind.
pub fn check<I>(dispenser: &Dispenser<'_>, ops: I) -> Result<(), Contradiction>
where
    I: Iterator<Item = Op<Told>> + Clone,
{
    let mut jobs = Jobs::new(dispenser.stock, ops.clone())?;
    if dispenser.per_user {
        users::each_job(dispenser.owners, &ops, |job| jobs.add(job))?;
    } else {
        for op in ops {
            match op.told {
                Told::Issued(_) => {
                    jobs.add(Job { from: op.start, until: op.end, mandatory: true });
                }
                Told::Unknown(_) => {
                    jobs.add(Job { from: op.start, until: super::NEVER, mandatory: false });
                }
                Told::SoldOut | Told::Read { .. } | Told::Present(_) | Told::Absent(_) => {}
            }
        }
    }
    jobs.all_claims_were_requested()?;
    jobs.all_issues_have_room()
}

/// The reads that matter, and the jobs as they lie between them.
#[derive(Debug)]
struct Jobs {
    stock: u64,
    /// By the end of each of these reads, at least so many were issued.
    least: Vec<Step>,
    /// Until the start of each of these reads, at most so many were issued.
    most: Vec<Step>,
    /// Jobs by how many of `least` had ended when their window began.
    requested: Vec<u64>,
    /// Mandatory jobs: how many of `most` had begun before they were over, or as they were; how
    /// many of `least` had ended when their window began.
    mandatory: Vec<(u32, u32)>,
}

impl Jobs {
    /// No jobs yet, but all reads.
    fn new<I>(stock: u64, ops: I) -> Result<Self, Contradiction>
    where
        I: Iterator<Item = Op<Told>>,
    {
        let (mut least, mut most) = (Steps::new(Bound::Least), Steps::new(Bound::Most));
        // All that a refusal as sold out can tell, the first one to end tells.
        let mut sold_out: Option<Step> = None;
        let mut mandatory = 0;
        for (op_place, op) in ops.enumerate() {
            match op.told {
                Told::SoldOut => {
                    if sold_out.is_none_or(|first| op.end < first.at) {
                        let at = op.end;
                        sold_out = Some(Step { at, issued: stock, op: compact(op_place) });
                    }
                }
                Told::Read { remaining } => {
                    let Some(issued) = stock.checked_sub(remaining) else {
                        return Err(Contradiction::BeyondStock { read: op_place, remaining });
                    };
                    let op_place = compact(op_place);
                    least.push(Step { at: op.end, issued, op: op_place });
                    // More than the stock is never issued anyway.
                    if issued < stock {
                        most.push(Step { at: op.start, issued, op: op_place });
                    }
                }
                Told::Issued(_) | Told::Present(_) => mandatory += 1,
                Told::Absent(_) | Told::Unknown(_) => {}
            }
        }
        if let Some(step) = sold_out {
            least.push(step);
        }
        let least = least.finish();
        Ok(Self {
            stock,
            requested: vec![0; least.len() + 1],
            least,
            most: most.finish(),
            mandatory: Vec::with_capacity(mandatory),
        })
    }

    fn add(&mut self, job: Job) {
        let after = self.least.partition_point(|read| read.at < job.from);
        self.requested[after] += 1;
        if job.mandatory {
            let before = self.most.partition_point(|read| read.at <= job.until);
            self.mandatory.push((compact(before), compact(after)));
        }
    }

    /// Comparison 1: each read against the jobs whose window had begun when it ended.
    fn all_claims_were_requested(&self) -> Result<(), Contradiction> {
        let mut requested = 0;
        let mut worst: Option<(u64, Claim, u64)> = None;
        for (read, begun) in self.least.iter().zip(&self.requested) {
            requested += begun;
            let missing = read.issued.saturating_sub(requested);
            if missing > worst.map_or(0, |(missing, ..)| missing) {
                worst = Some((missing, claim(read), requested));
            }
        }
        match worst {
            None => Ok(()),
            Some((_, read, requested)) => Err(Contradiction::NeverRequested { read, requested }),
        }
    }

    /// Comparison 2: each pair of reads against the mandatory jobs that lie wholly between.
    ///
    /// Goes through `most` by time, with the jobs that were over and the reads of `least` that had
    /// ended. Place 0 of the crowd stands for the beginning, place i + 1 for read i of `least`; a
    /// read that has not ended yet claims nothing, so that the beginning beats it.
    fn all_issues_have_room(mut self) -> Result<(), Contradiction> {
        self.mandatory.sort_unstable();
        let mut crowd = Crowd::new(self.least.len() + 1);
        let mut worst: Option<(u64, (usize, u64), usize)> = None;
        let (mut ended, mut over) = (0, 0);
        for before in 0..=self.most.len() {
            let read = self.most.get(before);
            while let Some(earlier) = self.least.get(ended)
                && read.is_none_or(|read| earlier.at < read.at)
            {
                ended += 1;
                crowd.claim(ended, earlier.issued);
            }
            while let Some(group) = self.group(over, before) {
                crowd.add(place(self.mandatory[over].1), count(group));
                over += group;
            }
            let room = read.map_or(self.stock, |read| read.issued);
            let excess = crowd.best().saturating_sub(room);
            if excess > worst.map_or(0, |(excess, ..)| excess) {
                worst = Some((excess, crowd.best_place(), before));
            }
        }
        match worst {
            None => Ok(()),
            Some((_, (after, issued), before)) => Err(self.crowded(after, before, issued)),
        }
    }

    /// How many jobs from `over` on were over before read `before` began, and began after the same
    /// reads.
    fn group(&self, over: usize, before: usize) -> Option<usize> {
        let first = *self.mandatory.get(over)?;
        let same = self.mandatory[over..].iter().take_while(|job| **job == first);
        (place(first.0) <= before).then(|| same.count())
    }

    fn crowded(&self, after: usize, before: usize, issued: u64) -> Contradiction {
        let after = after.checked_sub(1).map(|read| claim(&self.least[read]));
        let Some(read) = self.most.get(before).map(claim) else {
            return Contradiction::Oversold { after, issued };
        };
        match after {
            Some(earlier) if earlier.issued > read.issued => {
                Contradiction::ReadsGoBack { earlier, later: read }
            }
            _ => Contradiction::NotVisible { after, read, issued },
        }
    }
}

fn claim(step: &Step) -> Claim {
    Claim { op: place(step.op), issued: step.issued, at: step.at }
}
