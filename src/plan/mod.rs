//! From what is declared to what is done: which guests, in which order, with which steps.
//!
//! | file | what |
//! |---|---|
//! | [`graph`] | who needs whom: clone sources, dependencies, publishers of artifacts |
//! | [`order`] | the order of a guest's scripts |
//! | [`steps`] | the stages of a guest's life |
//! | [`make`](make()) | verb and targets -> [`Plan`] |
//! | [`draw`] | the graph as text and Mermaid |
//!
//! Pure: nothing here knows a node. The same configuration, verb and targets give the same plan.

pub mod draw;
pub mod graph;
mod make;
pub mod order;
pub mod steps;

pub use graph::{Edge, Graph, Why};
pub use make::{Plan, PlanError, PlannedGuest, Request, Rest, Verb, Wanted, adoption, make, one_script};
