//! Every primitive against a modelled machine: it changes what differs, is silent when it is right, and finishes after a
//! kill anywhere in the middle.

mod bench;
mod certificates;
mod compose;
mod files;
mod packages;
mod programs;
mod real;
mod secrets;
mod system;
mod waits;
