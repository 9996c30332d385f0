//! What a Redis says of itself, for a run's record. Leases are not touched here.

use redis::Client;

use super::super::LockError;
use crate::address::redacted;

/// What is asked of `INFO`, under the name it has there.
const ASKED: [&str; 5] =
    ["redis_version", "valkey_version", "aof_enabled", "maxmemory", "maxmemory_policy"];

/// Version and persistence of the Redis (or Valkey) at `url`, as (what, value); what it does not
/// say is left out.
///
/// # Errors
/// [`LockError::Store`]: it does not answer. Nothing was changed there.
pub async fn redis_facts(url: &str) -> Result<Vec<(String, String)>, LockError> {
    let told = async {
        let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
        redis::cmd("INFO").query_async::<String>(&mut connection).await
    };
    let info =
        told.await.map_err(|error| LockError::Store(format!("`{}`: {error}", redacted(url))))?;
    let fact = |name: &&str| {
        let value = info.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'))?;
        Some(((*name).to_owned(), value.trim().to_owned()))
    };
    Ok(ASKED.iter().filter_map(fact).collect())
}
