//! The real node: programs, requests, waiting, the lock; claims in line; channels under stress in a real container.

#[path = "host/agent.rs"]
mod agent;
#[path = "host/channel.rs"]
mod channel;
#[path = "host/claims.rs"]
mod claims;
#[path = "host/emulated.rs"]
mod emulated;
#[path = "host/etc_pve.rs"]
mod etc_pve;
#[path = "host/framing.rs"]
mod framing;
#[path = "host/hostile.rs"]
mod hostile;
#[path = "host/http.rs"]
mod http;
#[path = "host/interrupt.rs"]
mod interrupt;
#[path = "host/process.rs"]
mod process;
#[path = "host/record.rs"]
mod record;

use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;

/// The node that the tests run on.
fn node() -> Local {
    Local::new(Interrupt::new()).unwrap()
}
