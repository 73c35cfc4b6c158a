//! A node at the other end of a real ssh session: values as they go and come, whole runs, lines that break, and what
//! is refused.

#[path = "ssh/line.rs"]
mod line;
#[path = "ssh/refusals.rs"]
mod refusals;
#[path = "ssh/runs.rs"]
mod runs;
