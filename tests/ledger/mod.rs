//! The ledger's file and histograms, through their public doors.

mod file;
mod timing;
