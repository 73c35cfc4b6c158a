//! Tests of pve.
