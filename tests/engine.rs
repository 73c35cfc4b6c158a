//! The engine's own parts: order, records, journals.

mod scheduler;
