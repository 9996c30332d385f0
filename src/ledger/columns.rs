//! Many numbers and texts, close together: what a run of ten million attempts is kept in.
//!
//! What the columns mean is not known here.

/// A column of numbers, each of which may be absent.
///
/// Four bytes a number as long as all are below 2³² − 1, eight after that, none at all while every
/// one is absent. [`u64::MAX`] itself cannot be kept and becomes one less.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Column {
    len: usize,
    cells: Cells,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Cells {
    #[default]
    Absent,
    /// `u32::MAX` is absent.
    Narrow(Vec<u32>),
    /// `u64::MAX` is absent.
    Wide(Vec<u64>),
}

impl Column {
    /// Adds one number at the end.
    pub fn push(&mut self, value: Option<u64>) {
        match (&mut self.cells, value) {
            (Cells::Absent, None) => {}
            (Cells::Narrow(cells), None) => cells.push(u32::MAX),
            (Cells::Wide(cells), None) => cells.push(u64::MAX),
            (Cells::Narrow(cells), Some(value)) => match narrow(value) {
                Some(value) => cells.push(value),
                None => self.widened().push(value.min(u64::MAX - 1)),
            },
            (Cells::Wide(cells), Some(value)) => cells.push(value.min(u64::MAX - 1)),
            (Cells::Absent, Some(_)) => {
                self.cells = Cells::Narrow(vec![u32::MAX; self.len]);
                return self.push(value);
            }
        }
        self.len += 1;
    }

    fn widened(&mut self) -> &mut Vec<u64> {
        let wide = |cell: &u32| if *cell == u32::MAX { u64::MAX } else { u64::from(*cell) };
        if let Cells::Narrow(cells) = &self.cells {
            self.cells = Cells::Wide(cells.iter().map(wide).collect());
        }
        match &mut self.cells {
            Cells::Wide(cells) => cells,
            Cells::Absent | Cells::Narrow(_) => unreachable!("a narrow column was made wide"),
        }
    }

    /// The number at `index`; `None` where it is absent or the column is shorter.
    pub fn get(&self, index: usize) -> Option<u64> {
        match &self.cells {
            Cells::Absent => None,
            Cells::Narrow(cells) => {
                let cell = *cells.get(index)?;
                (cell != u32::MAX).then(|| u64::from(cell))
            }
            Cells::Wide(cells) => cells.get(index).copied().filter(|cell| *cell != u64::MAX),
        }
    }

    /// How many numbers, the absent ones counted.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn narrow(value: u64) -> Option<u32> {
    u32::try_from(value).ok().filter(|value| *value != u32::MAX)
}

/// A signed number as a column keeps it: small ones of either sign stay small.
pub fn folded(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The signed number that [`folded`] made.
pub fn unfolded(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Texts, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    all: String,
    ends: Column,
}

impl Texts {
    /// Adds a text and tells its index.
    pub fn push(&mut self, text: &str) -> usize {
        self.all.push_str(text);
        self.ends.push(u64::try_from(self.all.len()).ok());
        self.ends.len() - 1
    }

    /// The text at `index`; empty beyond the end.
    pub fn get(&self, index: usize) -> &str {
        let end = |index: usize| usize::try_from(self.ends.get(index)?).ok();
        let begin = index.checked_sub(1).and_then(end).unwrap_or(0);
        end(index).map_or("", |end| &self.all[begin..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a column gives back what was put in, across both changes of its width.
    #[test]
    fn columns_keep_numbers_of_any_width() {
        let far = u64::from(u32::MAX);
        let put = [None, None, Some(0), Some(far - 1), None, Some(far), Some(u64::MAX - 1), None];
        let mut column = Column::default();
        for (index, value) in put.into_iter().enumerate() {
            column.push(value);
            let got: Vec<_> = (0..=index).map(|index| column.get(index)).collect();
            assert_eq!(got, put[..=index], "after {index}");
        }
        assert_eq!((column.len(), column.get(8)), (8, None));
    }

    /// Goal: folding is exact over all of `i64`, and keeps small numbers small.
    #[test]
    fn signed_numbers_fold_and_unfold() {
        for value in [0, 1, -1, 2_147_483_646, -9, i64::MAX, i64::MIN + 1, i64::MIN] {
            assert_eq!(unfolded(folded(value)), value);
        }
        assert_eq!((folded(0), folded(-1), folded(1), folded(-2)), (0, 1, 2, 3));
    }

    /// Goal: texts come back whole, empty ones included.
    #[test]
    fn texts_are_told_apart() {
        let mut texts = Texts::default();
        let indices: Vec<_> = ["a", "", "bcd"].iter().map(|text| texts.push(text)).collect();
        assert_eq!(indices, [0, 1, 2]);
        assert_eq!((texts.get(0), texts.get(1), texts.get(2)), ("a", "", "bcd"));
        assert_eq!(texts.get(3), "");
    }
}
