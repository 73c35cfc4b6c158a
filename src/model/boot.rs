//! Start order at boot of the node.

use serde::{Deserialize, Serialize};

/// `onboot` and `startup` of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Started with the node.
    pub start_at_boot: bool,
    /// Position in the start order; absent: last.
    pub order: Option<u32>,
    /// Seconds to wait after this guest before the next one is started.
    pub delay: Option<u32>,
    /// Seconds that Proxmox waits for this guest to shut down; absent: its default.
    pub shutdown_timeout: Option<u32>,
}
