//! What guests are for the platform, where they do not say it themselves.

use super::guest::Draft;
use crate::model::{Guest, PortainerRole, Role};

/// Derives the roles of every guest that declares none.
pub fn derive(drafts: &mut [Draft]) {
    for draft in drafts {
        if draft.fields.value.get("roles").is_none() {
            draft.guest.roles = derived(&draft.guest).collect();
        }
    }
}

fn derived(guest: &Guest) -> impl Iterator<Item = Role> {
    let feature = |name: &str| guest.features.iter().any(|feature| feature == name);
    let app = |name: &str| guest.app.as_deref() == Some(name);
    let server = guest.portainer_role == PortainerRole::Server;
    let agent = guest.portainer_role == PortainerRole::Agent;
    let roles = [
        (feature("step_ca") || app("ca"), Role::Ca),
        (feature("traefik") || app("router"), Role::Router),
        (app("gateway"), Role::Gateway),
        (server, Role::Portainer),
        (server || agent || feature("docker"), Role::Docker),
    ];
    roles.into_iter().filter(|(applies, _)| *applies).map(|(_, role)| role)
}
