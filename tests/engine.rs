//! The engine's own parts: order, marks, records, journals.

mod counts;
mod difference;
mod mark;
mod memory;
mod scheduler;
