//! What people and programs see of a run.

mod json;
mod live;
