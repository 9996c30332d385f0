//! One claim's account for the lock log: collects the steps that the desk tells of, and writes.
//!
//! The words of the log are `ledger`'s; here coupon's and lock's are put into them.

use std::time::Instant;

use crate::coupon::issue::Denied;
use crate::coupon::{IssueError, Receipt, Step, StoreError};
use crate::ledger::Refusal;
use crate::ledger::locks::{Done, Fate, GaveUp, Granted, Release, Writer};
use crate::lock::{self, LockError};

/// The account of one claim, in µs on the log's clock.
pub(super) struct Account<'a> {
    log: &'a Writer,
    arrival: u64,
    request: &'a str,
    arrived_us: u64,
    asked_us: u64,
    commit_sent_us: Option<u64>,
    committed_us: Option<u64>,
    release_sent_us: u64,
    /// When and how the lock was handed back; `None` while it is not, or was never granted.
    released: Option<(u64, Release)>,
}

impl<'a> Account<'a> {
    /// Of claim number `arrival`, let in at `arrived`.
    pub(super) fn open(log: &'a Writer, arrival: u64, arrived: Instant, request: &'a str) -> Self {
        Self {
            log,
            arrival,
            request,
            arrived_us: log.us(arrived),
            asked_us: 0,
            commit_sent_us: None,
            committed_us: None,
            release_sent_us: 0,
            released: None,
        }
    }

    /// Takes down a step, at its moment. A grant is written at once.
    pub(super) fn note(&mut self, step: Step) {
        let now_us = self.log.us(Instant::now());
        match step {
            Step::Asked => self.asked_us = now_us,
            Step::Granted(facts, at) => self.log.granted(&Granted {
                arrival: self.arrival,
                request: self.request,
                arrived_us: self.arrived_us,
                asked_us: self.asked_us,
                granted_us: self.log.us(at.into_std()),
                grant: facts.grant,
                ticket: facts.ticket,
                token: facts.token,
            }),
            Step::CommitSent => self.commit_sent_us = Some(now_us),
            Step::Committed => self.committed_us = Some(now_us),
            Step::ReleaseSent => self.release_sent_us = now_us,
            Step::Released(release) => self.released = Some((now_us, word(release))),
        }
    }

    /// Writes how it ended.
    pub(super) fn close(self, result: &Result<Receipt, Denied>) {
        let fate = match result {
            Ok(receipt) => Fate::Issued(receipt.written.row),
            Err(denied) => fate(&denied.error),
        };
        let Self { arrival, request, arrived_us, asked_us, .. } = self;
        match self.released {
            Some((released_us, release)) => self.log.done(&Done {
                arrival,
                request,
                commit_sent_us: self.commit_sent_us,
                committed_us: self.committed_us,
                release_sent_us: self.release_sent_us,
                released_us,
                release,
                fate,
            }),
            None => self.log.gave_up(&GaveUp {
                arrival,
                request,
                arrived_us,
                asked_us,
                gave_up_us: self.log.us(Instant::now()),
                fate,
            }),
        }
    }
}

fn word(release: lock::Release) -> Release {
    match release {
        lock::Release::Clean => Release::Clean,
        lock::Release::Lapsed => Release::Lapsed,
        lock::Release::Unconfirmed => Release::Unconfirmed,
    }
}

fn fate(error: &IssueError) -> Fate {
    let refusal = match error {
        IssueError::Lock(LockError::WaitTimeout(_)) => Refusal::LockTimeout,
        IssueError::Lock(_) => Refusal::Busy,
        IssueError::Store(error) => match error {
            StoreError::CommitUnknown(_) => return Fate::CommitUnknown,
            StoreError::Failed(_) | StoreError::Unusable(_) => return Fate::Failed,
            StoreError::UnknownCoupon(_) => Refusal::Invalid,
            StoreError::UnknownUser(_) => Refusal::Unauthorized,
            StoreError::SoldOut(_) => Refusal::SoldOut,
            StoreError::Duplicate(_) => Refusal::Duplicate,
            StoreError::Deadlock => Refusal::Deadlock,
            StoreError::LockWait => Refusal::LockWait,
            StoreError::Conflict => Refusal::Conflict,
            StoreError::PoolTimeout | StoreError::Busy => Refusal::Busy,
        },
    };
    Fate::Refused(refusal)
}
