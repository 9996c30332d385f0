//! The issued rows in memory, in columns: about 30 bytes each. What they mean is not decided here.

use crate::coupon::IssuedRow;
use crate::ledger::columns::{Column, Texts, folded, unfolded};
use crate::ledger::request::Request;

/// Rows in the order in which they were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    run: String,
    row: Column,
    user: Column,
    coupon: Column,
    created: Column,
    /// VU and iteration where the request is one of the run; else both are absent.
    vu: Column,
    iteration: Column,
    /// Which text the request is, where it is another.
    named: Column,
    names: Texts,
}

impl Rows {
    /// None yet. `run` is the id of the run whose requests most of them answer; `""` if unknown.
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::default() }
    }

    /// Adds one at the end. All texts are borrowed.
    pub fn push(&mut self, row: &RowEntry<'_>) {
        let (own, name) = match Request::of(&self.run, row.request) {
            Request::Own { vu, iteration, .. } => (Some((vu, iteration)), None),
            Request::Text(text) => (None, Some(self.names.push(text))),
        };
        self.vu.push(own.map(|(vu, _)| vu.into()));
        self.iteration.push(own.map(|(_, iteration)| iteration.into()));
        self.named.push(name.and_then(|name| u64::try_from(name).ok()));
        self.row.push(Some(folded(row.row)));
        self.user.push(Some(folded(row.user)));
        self.coupon.push(Some(folded(row.coupon)));
        self.created.push(Some(folded(row.created_us)));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// The row at `index`, from 0; all zeros beyond the end.
    pub fn get(&self, index: usize) -> RowRef<'_> {
        RowRef { all: self, index }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> + Clone {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// One row, its text borrowed: how it goes into [`Rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowEntry<'a> {
    /// See [`IssuedRow::row`].
    pub row: i64,
    /// See [`IssuedRow::user`].
    pub user: i64,
    /// See [`IssuedRow::coupon`].
    pub coupon: i64,
    /// See [`IssuedRow::request`].
    pub request: &'a str,
    /// See [`IssuedRow::created_us`].
    pub created_us: i64,
}

impl<'a> From<&'a IssuedRow> for RowEntry<'a> {
    fn from(row: &'a IssuedRow) -> Self {
        Self {
            row: row.row,
            user: row.user.0,
            coupon: row.coupon.0,
            request: &row.request,
            created_us: row.created_us,
        }
    }
}

impl<'a> FromIterator<&'a IssuedRow> for Rows {
    /// Rows that answer no run in particular.
    fn from_iter<I: IntoIterator<Item = &'a IssuedRow>>(rows: I) -> Self {
        let mut all = Self::default();
        for row in rows {
            all.push(&row.into());
        }
        all
    }
}

/// One row among all. Each part is read when asked.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    all: &'a Rows,
    index: usize,
}

impl<'a> RowRef<'a> {
    /// Its place among all, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// See [`IssuedRow::row`].
    pub fn row(self) -> i64 {
        self.all.row.get(self.index).map_or(0, unfolded)
    }

    /// See [`IssuedRow::user`].
    pub fn user(self) -> i64 {
        self.all.user.get(self.index).map_or(0, unfolded)
    }

    /// See [`IssuedRow::coupon`].
    pub fn coupon(self) -> i64 {
        self.all.coupon.get(self.index).map_or(0, unfolded)
    }

    /// See [`IssuedRow::created_us`].
    pub fn created_us(self) -> i64 {
        self.all.created.get(self.index).map_or(0, unfolded)
    }

    /// See [`IssuedRow::request`].
    pub fn request(self) -> Request<'a> {
        let part = |column: &Column| u32::try_from(column.get(self.index)?).ok();
        if let Some((vu, iteration)) = part(&self.all.vu).zip(part(&self.all.iteration)) {
            return Request::Own { run: &self.all.run, vu, iteration };
        }
        let name = self.all.named.get(self.index).and_then(|name| name.try_into().ok());
        Request::Text(name.map_or("", |name| self.all.names.get(name)))
    }

    /// Whether all columns are the same.
    pub fn same_as(self, other: Self) -> bool {
        let numbers = |row: Self| (row.row(), row.user(), row.coupon(), row.created_us());
        numbers(self) == numbers(other) && self.request() == other.request()
    }
}
