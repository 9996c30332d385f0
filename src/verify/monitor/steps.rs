//! What reads say of the count over time, as steps; and the crowd between any two of them.
//!
//! Helpers of `dispenser.rs`, which tells why they decide.

use std::cmp::Reverse;

/// One read: by `at`, at least (or until `at`, at most) `issued` units were issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: u64,
    pub(super) issued: u64,
    pub(super) op: u32,
}

/// Which way the reads of one [`Steps`] bound the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// By then at least so many: a read that has ended.
    Least,
    /// Until then at most so many: a read that has not begun.
    Most,
}

/// The reads that bound the count the tightest; every other read follows from one of them.
///
/// Both `at` and `issued` strictly ascend. Collecting keeps memory within twice that staircase.
#[derive(Debug)]
pub(super) struct Steps {
    bound: Bound,
    steps: Vec<Step>,
    /// How many may be collected before the next pruning.
    limit: usize,
}

/// Fewer reads than this are never pruned on the way.
const FEW: usize = 1 << 16;

impl Steps {
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, steps: Vec::new(), limit: FEW }
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
        if self.steps.len() >= self.limit {
            self.prune();
            self.limit = FEW.max(self.steps.len() * 2);
        }
    }

    /// The staircase, once all reads are in.
    pub(super) fn finish(mut self) -> Vec<Step> {
        self.prune();
        self.steps
    }

    /// Drops each read that another one implies, and sorts the rest.
    fn prune(&mut self) {
        let mut tightest = None;
        match self.bound {
            Bound::Least => {
                self.steps.sort_unstable_by_key(|step| (step.at, Reverse(step.issued), step.op));
                self.steps.retain(|step| {
                    let tighter = step.issued > tightest.unwrap_or(0);
                    if tighter {
                        tightest = Some(step.issued);
                    }
                    tighter
                });
            }
            Bound::Most => {
                self.steps.sort_unstable_by_key(|step| (Reverse(step.at), step.issued, step.op));
                self.steps.retain(|step| {
                    let tighter = tightest.is_none_or(|least| step.issued < least);
                    if tighter {
                        tightest = Some(step.issued);
                    }
                    tighter
                });
                self.steps.reverse();
            }
        }
    }
}

/// For places 0, 1, …, each with a claim and a number of jobs: the largest sum of one place's claim
/// and of all jobs from that place on. A tree of maxima; O(log places) a change.
#[derive(Debug)]
pub(super) struct Crowd {
    /// A heap-shaped binary tree: the root at 1, the children of `i` at `2 i` and `2 i + 1`.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Jobs at the places below.
    jobs: u64,
    /// The largest claim of a place below, with the jobs below from that place on.
    best: u64,
}

impl Crowd {
    /// Every place with claim 0 and no jobs.
    pub(super) fn new(places: usize) -> Self {
        Self { nodes: vec![Node::default(); places.next_power_of_two() * 2] }
    }

    pub(super) fn claim(&mut self, place: usize, claim: u64) {
        let leaf = self.leaf(place);
        self.nodes[leaf].best = claim.saturating_add(self.nodes[leaf].jobs);
        self.rise(leaf);
    }

    pub(super) fn add(&mut self, place: usize, jobs: u64) {
        let leaf = self.leaf(place);
        self.nodes[leaf].jobs += jobs;
        self.nodes[leaf].best = self.nodes[leaf].best.saturating_add(jobs);
        self.rise(leaf);
    }

    /// The largest sum.
    pub(super) fn best(&self) -> u64 {
        self.nodes[1].best
    }

    /// The first place with the largest sum, and how many jobs are in that sum.
    pub(super) fn best_place(&self) -> (usize, u64) {
        let (mut node, mut jobs) = (1, 0);
        while node < self.nodes.len() / 2 {
            let (left, right) = (self.nodes[node * 2], self.nodes[node * 2 + 1]);
            if left.best.saturating_add(right.jobs) >= right.best {
                jobs += right.jobs;
                node *= 2;
            } else {
                node = node * 2 + 1;
            }
        }
        (node - self.nodes.len() / 2, jobs + self.nodes[node].jobs)
    }

    fn leaf(&self, place: usize) -> usize {
        self.nodes.len() / 2 + place
    }

    fn rise(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[node * 2], self.nodes[node * 2 + 1]);
            self.nodes[node] = Node {
                jobs: left.jobs + right.jobs,
                best: right.best.max(left.best.saturating_add(right.jobs)),
            };
        }
    }
}
