//! Tests of machine.
