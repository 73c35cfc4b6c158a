//! The engine's own parts: order, marks, records, journals.

mod mark;
mod memory;
mod scheduler;
