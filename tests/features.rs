//! The shipped features and apps: proven in modelled guests, in a real container, and by the real programs that read
//! what they write.

mod accepted;
pub mod authority;
mod catalogue;
mod chain;
mod cloud_init;
mod docker;
mod first_feature;
pub mod gpus;
mod models;
mod old;
mod portainer;
mod proving;
pub mod real;
mod stand;
