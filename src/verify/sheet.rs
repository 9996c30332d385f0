//! The books, read once: the run's own numbers, and every request beside its rows. No judgement.

use std::collections::{BTreeMap, HashMap};

use super::words::{grouped, narrow, size, total};
use super::{Books, Counts, Evidence, Join, Level, Witness};
use crate::coupon::{IssuedRow, Snapshot};
use crate::ledger::{Attempt, Outcome};

/// What every check reads.
pub(super) struct Sheet<'a> {
    pub(super) books: &'a Books,
    pub(super) level: Level,
    pub(super) flaw: Option<Flaw>,
    /// Units left when the run began.
    pub(super) initial: Option<i128>,
    /// Units left at its end.
    pub(super) remaining: Option<i128>,
    /// Rows written during the run.
    pub(super) issued: Option<i128>,
    /// Rows of the run, by ascending primary key.
    pub(super) rows: Option<Vec<&'a IssuedRow>>,
    /// Rows of before the run, by ascending primary key.
    pub(super) earlier: Vec<&'a IssuedRow>,
    /// Present whenever the ledger is.
    pub(super) asked: Option<AllAsked<'a>>,
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
    /// In the order of the first attempt of each.
    pub(super) groups: Vec<Asked<'a>>,
    /// For each attempt, in the ledger's order: its group.
    pub(super) group_of: Vec<usize>,
    /// Rows of the run that belong to no group.
    pub(super) strays: Vec<&'a IssuedRow>,
}

/// One group: a request, or all requests of a user, or all there are.
pub(super) struct Asked<'a> {
    /// Its first attempt.
    pub(super) first: &'a Attempt,
    /// Requests told yes, each counted once however often it was sent.
    pub(super) yes: i128,
    /// Requests that nobody answered yes, and at least once unknown.
    pub(super) doubt: i128,
    /// Attempts told no.
    pub(super) no: i128,
    /// Attempts not told no: at most so many rows can be theirs.
    pub(super) open: i128,
    /// Rows of the run that are theirs.
    pub(super) rows: i128,
    /// The first of these.
    pub(super) row: Option<&'a IssuedRow>,
    /// The row named by its first acknowledgement that names one.
    told: Option<i64>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(books: &'a Books) -> Self {
        let last_before = books.before.as_ref().map(|before| before.last_row);
        let coupon = books.after.as_ref().or(books.before.as_ref()).map(|stock| stock.coupon);
        let mut flaw = books.before.as_ref().zip(books.after.as_ref()).and_then(incomparable);
        let mut earlier = Vec::new();
        let rows = books.rows.as_ref().map(|rows| {
            let mut rows: Vec<_> = rows.iter().collect();
            rows.retain(|row| coupon.is_none_or(|coupon| row.coupon == coupon));
            rows.sort_by_key(|row| row.row);
            rows.dedup();
            if let Some(pair) = rows.windows(2).find(|pair| pair[0].row == pair[1].row) {
                let text = format!("row {} was read twice with different content", pair[0].row);
                flaw.get_or_insert(Flaw::Incomparable(text));
            }
            let begin = rows.partition_point(|row| last_before.is_some_and(|last| row.row <= last));
            let run = rows.split_off(begin);
            earlier = rows;
            run
        });
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
        let mut asked = books.attempts.as_ref().map(|all| AllAsked::new(all, rows.as_deref()));
        if let (true, Some(asked), Some(rows)) = (books.one_per_user, &mut asked, &rows) {
            asked.settle_replays(rows, &earlier);
        }
        Self {
            books,
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
            let doubt: i128 = asked.groups.iter().map(|group| group.doubt).sum();
            counts.unknown_issued = Some(total(issued));
            counts.unknown_not_issued = Some(total(doubt - issued));
        }
        counts
    }

    /// Rows that a group must have, by what it was told.
    pub(super) fn owed(&self, asked: &Asked<'_>) -> i128 {
        let one_each = self.books.one_per_user && self.join() == Join::User;
        if one_each { asked.yes.min(1) } else { asked.yes }
    }

    /// Unknown requests of a group that its rows show as issued.
    pub(super) fn recovered(&self, asked: &Asked<'_>) -> i128 {
        asked.doubt.min((asked.rows - self.owed(asked)).max(0))
    }

    /// How rows and attempts are joined.
    pub(super) fn join(&self) -> Join {
        self.asked.as_ref().map_or(Join::Request, |asked| asked.by)
    }
}

impl<'a> AllAsked<'a> {
    /// Groups by request id; by user where the service keeps no request id; into one group where
    /// it keeps neither.
    fn new(attempts: &'a [Attempt], rows: Option<&[&'a IssuedRow]>) -> Self {
        let (requests, mut group_of) = by_request(attempts);
        let rows = rows.unwrap_or_default();
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(requests.len());
        for (place, asked) in requests.iter().enumerate() {
            places.insert(&asked.first.request, place);
        }
        let place_of = |row: &IssuedRow| places.get(row.request.as_str()).copied();
        let by_request = rows.is_empty()
            || attempts.is_empty()
            || rows.iter().any(|row| !row.request.is_empty() && place_of(row).is_some());
        let mut all = Self {
            by: Join::Request,
            groups: Vec::new(),
            group_of: Vec::new(),
            strays: Vec::new(),
        };
        if by_request {
            all.groups = requests;
            all.group_of = group_of;
            all.take_rows(rows, |row| place_of(row).filter(|_| !row.request.is_empty()));
            return all;
        }
        let users: BTreeMap<i64, usize> = places_of_users(&requests);
        let known = !users.contains_key(&0) && rows.iter().any(|r| users.contains_key(&r.user.0));
        let place = |user: i64| if known { users.get(&user).copied() } else { Some(0) };
        let (groups, moved) = regroup(requests, |asked| place(asked.first.user).unwrap_or(0));
        for group in &mut group_of {
            *group = moved[*group];
        }
        all.by = if known { Join::User } else { Join::Count };
        all.groups = groups;
        all.group_of = group_of;
        all.take_rows(rows, |row| place(row.user.0));
        all
    }

    /// Requests told yes, each counted once.
    pub(super) fn acknowledged(&self) -> i128 {
        self.groups.iter().map(|asked| asked.yes).sum()
    }

    /// Where a user may hold one unit only, a request that was told of the row which the user
    /// already had was replayed, and is owed no row of its own.
    fn settle_replays(&mut self, rows: &[&IssuedRow], earlier: &[&IssuedRow]) {
        let has = |rows: &[&IssuedRow], row: i64, user: i64| {
            let place = rows.binary_search_by_key(&row, |other| other.row);
            place.is_ok_and(|place| rows[place].user.0 == user)
        };
        if self.by != Join::Request {
            return;
        }
        for asked in self.groups.iter_mut().filter(|asked| asked.rows == 0) {
            if let Some(row) = asked.told
                && (has(rows, row, asked.first.user) || has(earlier, row, asked.first.user))
            {
                asked.yes = 0;
                asked.open = 0;
            }
        }
    }

    /// Gives each row to its group.
    fn take_rows(&mut self, rows: &[&'a IssuedRow], place: impl Fn(&IssuedRow) -> Option<usize>) {
        for &row in rows {
            match place(row).and_then(|place| self.groups.get_mut(place)) {
                Some(asked) => {
                    asked.rows += 1;
                    asked.row.get_or_insert(row);
                }
                None => self.strays.push(row),
            }
        }
    }
}

/// One group a request id, in the order of first attempts, and the group of each attempt. An
/// attempt without a request id is a group of its own.
fn by_request(attempts: &[Attempt]) -> (Vec<Asked<'_>>, Vec<usize>) {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(attempts.len());
    let mut groups: Vec<Asked<'_>> = Vec::with_capacity(attempts.len());
    let mut group_of = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let fresh = groups.len();
        let place = match attempt.request.as_str() {
            "" => fresh,
            request => *places.entry(request).or_insert(fresh),
        };
        if place == fresh {
            groups.push(Asked::new(attempt));
        }
        group_of.push(place);
        groups[place].hear(attempt);
    }
    for asked in &mut groups {
        asked.doubt = if asked.yes == 0 { asked.doubt } else { 0 };
    }
    (groups, group_of)
}

/// The place of each user's group, by first attempt.
fn places_of_users(requests: &[Asked<'_>]) -> BTreeMap<i64, usize> {
    let mut users = BTreeMap::new();
    for asked in requests {
        let fresh = users.len();
        users.entry(asked.first.user).or_insert(fresh);
    }
    users
}

/// Adds groups up by `place` (dense from 0, in order of appearance), and tells where each went.
fn regroup<'a>(
    groups: Vec<Asked<'a>>,
    place: impl Fn(&Asked<'a>) -> usize,
) -> (Vec<Asked<'a>>, Vec<usize>) {
    let mut sums: Vec<Asked<'a>> = Vec::new();
    let mut moved = Vec::with_capacity(groups.len());
    for asked in groups {
        let place = place(&asked);
        moved.push(place);
        match sums.get_mut(place) {
            Some(sum) => sum.add(&asked),
            None => sums.push(asked),
        }
    }
    (sums, moved)
}

impl<'a> Asked<'a> {
    fn new(first: &'a Attempt) -> Self {
        Self { first, yes: 0, doubt: 0, no: 0, open: 0, rows: 0, row: None, told: None }
    }

    fn hear(&mut self, attempt: &Attempt) {
        match attempt.outcome {
            Outcome::Acknowledged => {
                self.yes = 1;
                self.told = self.told.or(attempt.facts.row);
            }
            Outcome::Unknown(_) => self.doubt = 1,
            Outcome::Refused(_) => self.no += 1,
        }
        self.open += i128::from(!matches!(attempt.outcome, Outcome::Refused(_)));
    }

    fn add(&mut self, other: &Self) {
        self.yes += other.yes;
        self.doubt += other.doubt;
        self.no += other.no;
        self.open += other.open;
    }

    /// A witness with this group's first attempt and first row.
    pub(super) fn witness(&self, text: String) -> Witness {
        Witness {
            text,
            requests: vec![self.first.request.clone()],
            rows: self.row.map(|row| row.row).into_iter().collect(),
            users: vec![self.first.user],
            times_us: vec![self.first.start_us, self.first.end_us],
        }
    }
}

/// Attempts told yes, told no by reason, and not told by reason.
fn told(attempts: &[Attempt]) -> (u64, BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let mut yes = 0;
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for attempt in attempts {
        match attempt.outcome {
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
