//! What tests of several rooms need from the machine they run on.

pub mod container;
