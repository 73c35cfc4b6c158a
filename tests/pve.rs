//! Tests of pve.

mod argv;
mod builders;
mod files;
mod lxc;
mod round_trips;
mod vm;
