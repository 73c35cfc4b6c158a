//! Everything the configuration declares.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Certificate, Guest, GuestId, Node, Role, SecretSource, Stack};

/// A whole configuration, checked: the node, its guests and the services around them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Internal DNS suffix.
    pub domain: String,
    /// The node.
    pub node: Node,
    /// Guests in the order of the files: containers, then virtual machines.
    pub guests: IndexMap<GuestId, Guest>,
    /// Certificates kept on the node.
    pub certificates: Vec<Certificate>,
    /// Docker stacks.
    pub stacks: Vec<Stack>,
    /// Where declared secrets come from, by name.
    pub secrets: BTreeMap<String, SecretSource>,
}

impl Site {
    /// The guest with this id.
    pub fn guest(&self, id: GuestId) -> Option<&Guest> {
        self.guests.get(&id)
    }

    /// The guest that an operator's word names: an id, or a name in any case.
    pub fn find(&self, word: &str) -> Option<&Guest> {
        match word.parse::<GuestId>() {
            Ok(id) => self.guest(id),
            Err(_) => self.guests.values().find(|guest| guest.name.eq_ignore_ascii_case(word)),
        }
    }

    /// Guests with a role, in file order.
    pub fn with_role<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = &'a Guest> {
        self.guests.values().filter(move |guest| guest.roles.contains(role))
    }

    /// Whether any declared guest is cloned from `id`.
    pub fn is_clone_source(&self, id: GuestId) -> bool {
        self.guests.values().any(|guest| guest.origin == super::Origin::Clone(id))
    }

    /// The guest and the guests it is cloned from, nearest first. Ends at an undeclared source or a repetition.
    pub fn clone_ancestry(&self, id: GuestId) -> Vec<&Guest> {
        let mut chain: Vec<&Guest> = Vec::new();
        let mut next = Some(id);
        while let Some(guest) = next.and_then(|id| self.guest(id)) {
            if chain.iter().any(|seen| seen.id == guest.id) {
                break;
            }
            chain.push(guest);
            next = match guest.origin {
                super::Origin::Clone(source) => Some(source),
                _ => None,
            };
        }
        chain
    }

    /// Whether the guest, or a guest it is cloned from, lists the feature.
    pub fn has_feature(&self, id: GuestId, feature: &str) -> bool {
        self.clone_ancestry(id).iter().any(|guest| guest.features.iter().any(|name| name == feature))
    }
}
