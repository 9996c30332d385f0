//! x

#[cfg(test)]
mod lock;
