//! The books, read once: the run's own numbers, and every request beside its rows. No judgement.

use std::collections::BTreeMap;

use super::index::Index;
use super::rows::{RowRef, Rows};
use super::words::{grouped, narrow, size, total};
use super::{Books, Counts, Evidence, Join, Level, Witness};
use crate::coupon::Snapshot;
use crate::ledger::Outcome;
use crate::ledger::attempts::{AttemptRef, Attempts};

/// What every check reads.
pub(super) struct Sheet<'a> {
    pub(super) books: &'a Books,
    /// How many witnesses of each check are wanted.
    pub(super) room: usize,
    pub(super) level: Level,
    pub(super) flaw: Option<Flaw>,
    /// Units left when the run began.
    pub(super) initial: Option<i128>,
    /// Units left at its end.
    pub(super) remaining: Option<i128>,
    /// Rows written during the run.
    pub(super) issued: Option<i128>,
    /// Rows of the run, by ascending primary key.
    pub(super) rows: Option<Listed<'a>>,
    /// Rows of before the run, by ascending primary key.
    pub(super) earlier: Listed<'a>,
    /// Present whenever the ledger is.
    pub(super) asked: Option<AllAsked<'a>>,
}

/// Some of the rows, by ascending primary key.
#[derive(Default)]
pub(super) struct Listed<'a> {
    all: Option<&'a Rows>,
    places: Vec<u32>,
}

impl<'a> Listed<'a> {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn get(&self, index: usize) -> Option<RowRef<'a>> {
        Some(self.all?.get(*self.places.get(index)? as usize))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RowRef<'a>> + '_ {
        self.places.iter().filter_map(|place| Some(self.all?.get(*place as usize)))
    }

    /// The row with this key.
    pub(super) fn find(&self, row: i64) -> Option<RowRef<'a>> {
        // Keys are dense as a rule, so that the place follows from the key.
        let likely = row.checked_sub(self.get(0)?.row())?;
        let guess = usize::try_from(likely).ok().and_then(|index| self.get(index));
        if let Some(found) = guess.filter(|found| found.row() == row) {
            return Some(found);
        }
        let key = |place: &u32| self.all.map_or(0, |all| all.get(*place as usize).row());
        self.get(self.places.binary_search_by_key(&row, key).ok()?)
    }

    /// Whether the row with this key is among them and `user`'s.
    fn holds(&self, row: i64, user: i64) -> bool {
        self.find(row).is_some_and(|found| found.user() == user)
    }
}

/// A contradiction in the evidence itself. Source of the idea: counts are read twice, as one SQL
/// aggregate and as single rows; what differs was still moving.
pub(super) enum Flaw {
    /// Rows were written while the books were read.
    Moving(String),
    /// The parts do not belong together.
    Incomparable(String),
}

impl Flaw {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Moving(text) | Self::Incomparable(text) => text,
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Moving(_) => "a final read after the service has come to rest",
            Self::Incomparable(_) => "readings of one coupon, not reseeded or purged in between",
        }
    }
}

/// Every attempt, grouped so that each group can be compared with its rows.
pub(super) struct AllAsked<'a> {
    pub(super) by: Join,
    pub(super) attempts: &'a Attempts,
    /// In the order of the first attempt of each.
    pub(super) groups: Vec<Asked>,
    /// For each attempt, in the ledger's order: its group. `None` where each is one of its own.
    group_of: Option<Vec<u32>>,
    /// Whether any request was sent more than once.
    pub(super) repeats: bool,
    /// Rows of the run that belong to no group.
    pub(super) strays: Vec<RowRef<'a>>,
}

/// One group: a request, or all requests of a user, or all there are.
#[derive(Clone)]
pub(super) struct Asked {
    /// Index of its first attempt.
    first: u32,
    /// Requests told yes, each counted once however often it was sent.
    pub(super) yes: u32,
    /// Requests that nobody answered yes, and at least once unknown.
    pub(super) doubt: u32,
    /// Attempts told no.
    pub(super) no: u32,
    /// Attempts not told no: at most so many rows can be theirs.
    pub(super) open: u32,
    /// Rows of the run that are theirs.
    pub(super) rows: u32,
    /// Index of the first of these among the rows of the run.
    row: u32,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(books: &'a Books, room: usize) -> Self {
        let last_before = books.before.as_ref().map(|before| before.last_row);
        let coupon = books.after.as_ref().or(books.before.as_ref()).map(|stock| stock.coupon);
        let mut flaw = books.before.as_ref().zip(books.after.as_ref()).and_then(incomparable);
        let mut earlier = Listed::default();
        let rows = books.rows.as_ref().map(|all| {
            let mut places = sorted(all, coupon.map(|coupon| coupon.0), &mut flaw);
            let row = |place: u32| all.get(place as usize).row();
            let begin =
                places.partition_point(|place| last_before.is_some_and(|last| row(*place) <= last));
            let run = places.split_off(begin);
            earlier = Listed { all: Some(all), places };
            Listed { all: Some(all), places: run }
        });
        if let Some(text) = &books.unsettled {
            flaw.get_or_insert_with(|| Flaw::Moving(text.clone()));
        }
        let counted = books.after.as_ref().map(|after| {
            i128::from(after.issued) - books.before.as_ref().map_or(0, |b| i128::from(b.issued))
        });
        let listed = rows.as_ref().map(|rows| size(rows.len()));
        if let (Some(counted), Some(listed)) = (counted, listed)
            && counted != listed
        {
            let text = format!(
                "the database counts {} rows of this run while {} were listed",
                grouped(counted),
                grouped(listed)
            );
            flaw.get_or_insert(Flaw::Moving(text));
        }
        let stock = |of: fn(&Snapshot) -> i64| books.after.as_ref().map(|s| i128::from(of(s)));
        let begun = books.before.as_ref().map(|before| i128::from(before.remaining));
        let mut asked = books.attempts.as_ref().map(|all| AllAsked::new(all, rows.as_ref()));
        if let (true, Some(asked), Some(rows)) = (books.one_per_user, &mut asked, &rows) {
            asked.settle_replays(rows, &earlier);
        }
        Self {
            books,
            room,
            level: level(books),
            flaw,
            initial: begun.or(stock(|after| after.initial)),
            remaining: stock(|after| after.remaining),
            issued: counted.or(listed),
            asked,
            rows,
            earlier,
        }
    }

    pub(super) fn evidence(&self) -> Evidence {
        let joined = self.rows.as_ref().and(self.asked.as_ref());
        Evidence {
            level: self.level,
            before: self.books.before.is_some(),
            after: self.books.after.is_some(),
            rows: self.books.rows.is_some(),
            ledger_complete: self.books.attempts.as_ref().map(|_| self.books.ledger_complete),
            join: joined.map(|asked| asked.by),
            flaw: self.flaw.as_ref().map(|flaw| flaw.text().to_owned()),
        }
    }

    /// Initial − remaining.
    pub(super) fn consumed(&self) -> Option<i128> {
        self.initial.zip(self.remaining).map(|(initial, remaining)| initial - remaining)
    }

    pub(super) fn counts(&self) -> Counts {
        let positive = |number: i128| narrow(number.max(0));
        let imbalance = self.issued.zip(self.consumed()).map(|(issued, gone)| issued - gone);
        let oversold = self.issued.zip(self.initial).map(|(issued, n)| issued - n.max(0));
        let mut counts = Counts {
            initial: self.initial.map(narrow),
            remaining: self.remaining.map(narrow),
            consumed: self.consumed().map(narrow),
            issued: self.issued.map(narrow),
            issued_before: self.books.before.as_ref().map(|before| before.issued),
            lost_updates: imbalance.map(positive),
            uncovered: imbalance.map(|number| positive(-number)),
            oversold: oversold.map(positive),
            ..Counts::default()
        };
        let (Some(attempts), Some(asked)) = (&self.books.attempts, &self.asked) else {
            return counts;
        };
        let (yes, refused, unknown) = told(attempts);
        counts.attempts = Some(total(size(attempts.len())));
        counts.acknowledged = Some(yes);
        counts.refused = refused;
        counts.unknown = unknown;
        if self.rows.is_some() {
            let issued: i128 = asked.groups.iter().map(|group| self.recovered(group)).sum();
            let doubt: i128 = asked.groups.iter().map(|group| i128::from(group.doubt)).sum();
            counts.unknown_issued = Some(total(issued));
            counts.unknown_not_issued = Some(total(doubt - issued));
        }
        counts
    }

    /// Rows that a group must have, by what it was told.
    pub(super) fn owed(&self, asked: &Asked) -> i128 {
        let one_each = self.books.one_per_user && self.join() == Join::User;
        i128::from(if one_each { asked.yes.min(1) } else { asked.yes })
    }

    /// Unknown requests of a group that its rows show as issued.
    pub(super) fn recovered(&self, asked: &Asked) -> i128 {
        let beyond = i128::from(asked.rows) - self.owed(asked);
        i128::from(asked.doubt).min(beyond.max(0))
    }

    /// How rows and attempts are joined.
    pub(super) fn join(&self) -> Join {
        self.asked.as_ref().map_or(Join::Request, |asked| asked.by)
    }

    /// A witness with this group's first attempt and first row.
    pub(super) fn witness(&self, asked: &Asked, text: String) -> Witness {
        let row = self.rows.as_ref().and_then(|rows| rows.get(asked.row as usize));
        let first = self.asked.as_ref().map(|all| all.first(asked));
        Witness {
            text,
            requests: first.iter().map(|first| first.request().to_string()).collect(),
            rows: row.iter().map(|row| row.row()).collect(),
            users: first.iter().map(|first| first.user()).collect(),
            times_us: first.iter().flat_map(|first| [first.start_us(), first.end_us()]).collect(),
        }
    }
}

/// The places of this coupon's rows by ascending key; one read twice with the same content is one.
fn sorted(all: &Rows, coupon: Option<i64>, flaw: &mut Option<Flaw>) -> Vec<u32> {
    let ours = |row: &RowRef<'_>| coupon.is_none_or(|coupon| row.coupon() == coupon);
    let mut places: Vec<u32> = all.iter().filter(ours).map(|row| place(row.index())).collect();
    let row = |place: u32| all.get(place as usize);
    if !places.is_sorted_by_key(|place| row(*place).row()) {
        places.sort_by_key(|place| row(*place).row());
    }
    places.dedup_by(|later, earlier| row(*later).same_as(row(*earlier)));
    if let Some(pair) = places.windows(2).find(|pair| row(pair[0]).row() == row(pair[1]).row()) {
        let text = format!("row {} was read twice with different content", row(pair[0]).row());
        flaw.get_or_insert(Flaw::Incomparable(text));
    }
    places
}

/// An index as it is kept by the million.
pub(super) fn place(index: usize) -> u32 {
    u32::try_from(index).expect("the columns of four billion entries would not fit into memory")
}

impl<'a> AllAsked<'a> {
    /// Groups by request id; by user where the service keeps no request id; into one group where
    /// it keeps neither.
    fn new(attempts: &'a Attempts, rows: Option<&Listed<'a>>) -> Self {
        let index = Index::new(attempts);
        let mut all = Self {
            by: Join::Request,
            attempts,
            groups: Vec::with_capacity(attempts.len()),
            group_of: index.has_repeats().then(Vec::new),
            repeats: index.has_repeats(),
            strays: Vec::new(),
        };
        for attempt in attempts.iter() {
            let leader = index.leader(attempt);
            if let Some(group_of) = &mut all.group_of {
                let fresh = place(all.groups.len());
                group_of.push(if leader == attempt.index() { fresh } else { group_of[leader] });
            }
            if leader == attempt.index() {
                all.groups.push(Asked::new(attempt));
            }
            let group = all.group_of(attempt.index());
            all.groups[group].hear(attempt.outcome());
        }
        for asked in &mut all.groups {
            asked.doubt = if asked.yes == 0 { asked.doubt } else { 0 };
        }
        let Some(rows) = rows else { return all };
        let group_of = |row: RowRef<'_>| Some(all.group_of(index.find(row.request())?));
        let by_request = rows.is_empty()
            || attempts.is_empty()
            || rows.iter().any(|row| group_of(row).is_some());
        if by_request {
            let groups: Vec<Option<usize>> = rows.iter().map(group_of).collect();
            all.take_rows(rows, groups.into_iter());
        } else {
            all.join_by_user(rows);
        }
        all
    }

    /// The group of the attempt at `index`.
    pub(super) fn group_of(&self, index: usize) -> usize {
        self.group_of.as_ref().map_or(index, |group_of| group_of[index] as usize)
    }

    /// The group of an attempt.
    pub(super) fn group(&self, told: AttemptRef<'_>) -> &Asked {
        &self.groups[self.group_of(told.index())]
    }

    /// Whether a group may hold several attempts.
    pub(super) fn has_repeats(&self) -> bool {
        self.group_of.is_some()
    }

    /// The first attempt of a group.
    pub(super) fn first(&self, asked: &Asked) -> AttemptRef<'a> {
        self.attempts.get(asked.first as usize)
    }

    /// Requests told yes, each counted once.
    pub(super) fn acknowledged(&self) -> i128 {
        self.groups.iter().map(|asked| i128::from(asked.yes)).sum()
    }

    /// Adds the groups up by user, or into one where users are not known either.
    fn join_by_user(&mut self, rows: &Listed<'a>) {
        let mut users: BTreeMap<i64, usize> = BTreeMap::new();
        for asked in &self.groups {
            let fresh = users.len();
            users.entry(self.first(asked).user()).or_insert(fresh);
        }
        let known =
            !users.contains_key(&0) && rows.iter().any(|row| users.contains_key(&row.user()));
        let place_of = |user: i64| if known { users.get(&user).copied() } else { Some(0) };
        let mut sums: Vec<Asked> = Vec::new();
        let mut moved = Vec::with_capacity(self.groups.len());
        for asked in &self.groups {
            let sum = place_of(self.first(asked).user()).unwrap_or(0);
            moved.push(place(sum));
            match sums.get_mut(sum) {
                Some(sum) => sum.add(asked),
                None => sums.push(asked.clone()),
            }
        }
        let group_of = (0..self.attempts.len()).map(|index| moved[self.group_of(index)]).collect();
        self.by = if known { Join::User } else { Join::Count };
        self.groups = sums;
        self.group_of = Some(group_of);
        self.take_rows(rows, rows.iter().map(|row| place_of(row.user())));
    }

    /// Where a user may hold one unit only, a request that was told of the row which the user
    /// already had was replayed, and is owed no row of its own.
    fn settle_replays(&mut self, rows: &Listed<'_>, earlier: &Listed<'_>) {
        if self.by != Join::Request {
            return;
        }
        for attempt in self.attempts.iter() {
            let group = self.group_of(attempt.index());
            let told = attempt.row().filter(|_| attempt.outcome() == Outcome::Acknowledged);
            let asked = &mut self.groups[group];
            if asked.rows == 0
                && let Some(row) = told
                && (rows.holds(row, attempt.user()) || earlier.holds(row, attempt.user()))
            {
                asked.yes = 0;
                asked.open = 0;
            }
        }
    }

    /// Gives each row to its group.
    fn take_rows(&mut self, rows: &Listed<'a>, groups: impl Iterator<Item = Option<usize>>) {
        for ((index, row), group) in rows.iter().enumerate().zip(groups) {
            match group.and_then(|group| self.groups.get_mut(group)) {
                Some(asked) => {
                    if asked.rows == 0 {
                        asked.row = place(index);
                    }
                    asked.rows += 1;
                }
                None => self.strays.push(row),
            }
        }
    }
}

impl Asked {
    fn new(first: AttemptRef<'_>) -> Self {
        let first = place(first.index());
        Self { first, yes: 0, doubt: 0, no: 0, open: 0, rows: 0, row: u32::MAX }
    }

    fn hear(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Acknowledged => self.yes = 1,
            Outcome::Unknown(_) => self.doubt = 1,
            Outcome::Refused(_) => self.no += 1,
        }
        self.open += u32::from(!matches!(outcome, Outcome::Refused(_)));
    }

    fn add(&mut self, other: &Self) {
        self.yes += other.yes;
        self.doubt += other.doubt;
        self.no += other.no;
        self.open += other.open;
    }
}

/// Attempts told yes, told no by reason, and not told by reason.
fn told(attempts: &Attempts) -> (u64, BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let mut yes = 0;
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for attempt in attempts.iter() {
        match attempt.outcome() {
            Outcome::Acknowledged => yes += 1,
            Outcome::Refused(why) => *refused.entry(why.name()).or_default() += 1,
            Outcome::Unknown(why) => *unknown.entry(why.name()).or_default() += 1,
        }
    }
    let owned = |map: BTreeMap<&str, u64>| {
        map.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    };
    (yes, owned(refused), owned(unknown))
}

fn level(books: &Books) -> Level {
    let database = books.after.is_some() || books.rows.is_some();
    match (database, books.attempts.is_some()) {
        (false, false) => Level::Nothing,
        (false, true) => Level::Ledger,
        (true, false) => Level::E0,
        (true, true) if books.locks.is_some() => Level::E3,
        (true, true) if books.probes.is_some() => Level::E2,
        (true, true) => Level::E1,
    }
}

/// Why two snapshots are not the begin and the end of one run.
fn incomparable((before, after): (&Snapshot, &Snapshot)) -> Option<Flaw> {
    let text = if before.coupon != after.coupon {
        format!("coupon {} was read before and {} after", before.coupon.0, after.coupon.0)
    } else if before.initial != after.initial {
        format!(
            "the initial stock changed from {} to {} during the run",
            grouped(before.initial),
            grouped(after.initial)
        )
    } else if after.issued < before.issued {
        format!(
            "rows vanished: {} before the run, {} after it",
            grouped(before.issued),
            grouped(after.issued)
        )
    } else {
        return None;
    };
    Some(Flaw::Incomparable(text))
}
