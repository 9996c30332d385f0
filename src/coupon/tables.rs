//! The tables: created where there are none, refused where they are not ours.
//!
//! Their text is in `schema/`, one file a database.

use super::StoreError;
use super::db::{Intent, Kind, Tx};
use super::statements;
use super::store::Store;

/// Version of `schema/*.sql`; a change of any of them is a new number here and there.
const SCHEMA_VERSION: i64 = 1;

impl Store {
    /// Creates the tables where there are none. Several processes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the tables are another program's or another version's:
    /// nothing was touched then. On MySQL a creation may be left half done by any other error;
    /// the next call completes it.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let kind = self.db.kind();
        let mut tx = self.db.begin(Intent::Write).await?;
        let prepared = create_alone(&mut tx, kind).await;
        tx.finish(prepared).await
    }

    /// Whether our tables are there and of this version. Creates nothing, changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when they are missing or another version's.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut tx = self.db.begin(Intent::Read).await?;
        let found = look(&mut tx, self.db.kind()).await;
        match tx.finish(found).await? {
            Found::Version(version) => known(version),
            Found::Nothing | Found::Half | Found::Foreign(_) => Err(StoreError::Unusable(
                "the database holds no tables of cplock; run `cplock serve` on it first, or \
                 correct --db"
                    .to_owned(),
            )),
        }
    }
}

/// What is in the database.
enum Found {
    Nothing,
    /// Ours, and their creation was cut off.
    Half,
    /// Ours, of this version.
    Version(i64),
    /// A table of another program, with a name that we need.
    Foreign(String),
}

async fn look(tx: &mut Tx, kind: Kind) -> Result<Found, StoreError> {
    let found: Vec<(String,)> = tx.all(statements::tables(kind), &[]).await?;
    if !found.iter().any(|(name,)| name == "cplock_schema") {
        let foreign = found.into_iter().next();
        return Ok(foreign.map_or(Found::Nothing, |(name,)| Found::Foreign(name)));
    }
    let version: Option<(i64,)> = tx.first(statements::SCHEMA_VERSION, &[]).await?;
    Ok(version.map_or(Found::Half, |(version,)| Found::Version(version)))
}

fn known(version: i64) -> Result<(), StoreError> {
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "the tables are of version {version} and this cplock knows version {SCHEMA_VERSION}; use \
         the cplock that made them, or point --db at an empty database"
    )))
}

/// Creates while no other process does.
async fn create_alone(tx: &mut Tx, kind: Kind) -> Result<(), StoreError> {
    if let Some(enter) = statements::enter_schema(kind) {
        let entered: Option<(Option<i64>,)> = tx.first(enter, &[]).await?;
        if entered != Some((Some(1),)) {
            return Err(StoreError::Unusable(
                "another process has been creating tables for a minute; try again".to_owned(),
            ));
        }
    }
    let created = create(tx, kind).await;
    if let Some(leave) = statements::leave_schema(kind) {
        let _: Option<(Option<i64>,)> = tx.first(leave, &[]).await?;
    }
    created
}

/// Looks what is there, and creates what is not.
async fn create(tx: &mut Tx, kind: Kind) -> Result<(), StoreError> {
    match look(tx, kind).await? {
        Found::Version(version) => known(version),
        Found::Foreign(name) => Err(StoreError::Unusable(format!(
            "the database holds a table `{name}` of another program; point --db at an empty \
             database"
        ))),
        Found::Nothing | Found::Half => Ok(tx.script(statements::schema(kind)).await?),
    }
}
