//! A container for one test: booted from a release, on a link of its own to this machine, destroyed with its handle. What
//! a killed test leaves is cleaned by whoever takes its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::base::Base;
use super::container::{Container, Settings, Stack};
use super::network;
use super::program::{LabError, run};
use crate::model::{GuestId, GuestKind};
use crate::op::Place;

/// Ids and addresses are this plus the container's slot; one slot is one running container on this machine.
const FIRST_ID: u32 = 990_000;
const SLOTS: u32 = 250;
/// The file that the kernel holds for whoever has a slot.
const LOCKS: &str = "/run/lock/phoenix-throwaway";
/// LXC's own directory: the channel of production finds the container without being told where.
const HOME: &str = "/var/lib/lxc";
/// Longest wait for a boot; a boot takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running container that ends with its handle.
pub struct Throwaway {
    container: Container,
    settings: Settings,
    id: GuestId,
    slot: u32,
    dir: PathBuf,
    /// Held by the kernel, so that a slot is free again when its holder is killed.
    _lock: File,
}

impl Throwaway {
    /// Boots a container over a root file system and waits until its init is done: unprivileged if the base is shifted,
    /// which is where containers run in it too (with files of its own instead of layers: layers over layers are refused).
    /// What it writes is below the directory `work`.
    ///
    /// # Errors
    /// When this machine lacks something, or the container does not start.
    pub fn boot(base: &Base, work: &Path) -> Result<Throwaway, LabError> {
        super::check(&[])?;
        let (slot, lock) = take_slot()?;
        let dir = work.join(format!("container-{slot}"));
        let id = GuestId::try_from(FIRST_ID + slot).map_err(|error| LabError::failed("a container's id", error))?;
        let name = id.to_string();
        let (upper, unprivileged) = (dir.join("upper"), base.is_shifted());
        let lower = if unprivileged { Vec::new() } else { vec![base.root().to_owned()] };
        let settings = Settings {
            hostname: format!("ct{id}"),
            stack: Stack { lower, upper: upper.clone(), work: dir.join("work") },
            unprivileged,
            nesting: unprivileged,
            binds: Vec::new(),
            network: network::routed(slot),
        };
        let container = Container::new(Path::new(HOME), &name, None);
        let throwaway = Throwaway { container, settings, id, slot, dir, _lock: lock };
        throwaway.remove()?;
        fs::create_dir_all(&throwaway.dir).map_err(LabError::at(&throwaway.dir))?;
        if unprivileged {
            run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(base.root()).arg(&upper))?;
        }
        throwaway.start()?;
        Ok(throwaway)
    }

    /// Boots it, for the first time or again, and waits until its init is done.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<(), LabError> {
        self.container.boot(&self.settings, |_| Ok(()))?;
        network::route(self.slot)?;
        self.container.wait_until_up(PATIENCE)
    }

    /// Stops it at once, as a power cut does.
    ///
    /// # Errors
    /// When it still runs.
    pub fn kill(&self) -> Result<(), LabError> {
        self.container.kill()
    }

    /// The container itself.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Its id, as the channel knows it.
    pub fn id(&self) -> GuestId {
        self.id
    }

    /// The machine that Ops act in.
    pub fn place(&self) -> Place {
        Place::Guest(self.id, GuestKind::Lxc)
    }

    /// Its address; reachable from this machine.
    pub fn address(&self) -> String {
        network::routed_address(self.slot)
    }

    /// Nothing of it is left, nor of an earlier one that was not destroyed.
    fn remove(&self) -> Result<(), LabError> {
        self.container.kill()?;
        for dir in [&self.dir, &Path::new(HOME).join(self.id.to_string())] {
            if dir.exists() {
                fs::remove_dir_all(dir).map_err(LabError::at(dir))?;
            }
        }
        Ok(())
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever takes the slot.
        let _left = self.remove();
    }
}

/// A slot that nobody on this machine uses.
fn take_slot() -> Result<(u32, File), LabError> {
    let dir = Path::new(LOCKS);
    fs::create_dir_all(dir).map_err(LabError::at(dir))?;
    for slot in 0..SLOTS {
        let path = dir.join(slot.to_string());
        let file = File::create(&path).map_err(LabError::at(&path))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok((slot, file));
        }
    }
    Err(LabError::failed("a container", format!("{SLOTS} of them run already")))
}
