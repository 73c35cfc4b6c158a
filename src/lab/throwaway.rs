//! A container for one test: booted from a release, on a link of its own to this machine, destroyed with its handle. What
//! a killed test leaves is cleaned by whoever takes its place.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::base::Base;
use super::container::{Container, Settings, Stack, overlayable};
use super::network;
use super::program::{LabError, run};
use crate::model::{GuestId, GuestKind};
use crate::op::Place;

/// Ids and addresses are this plus the container's slot; one slot is one running container on this machine.
const FIRST_ID: u32 = 990_000;
const SLOTS: u32 = 250;
/// The file that the kernel holds for whoever has a slot.
const LOCKS: &str = "/run/phoenix/throwaway";
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
    slot_lock: SlotLock,
}

/// The right to a slot. Held by the kernel, so that it is free again when its holder is killed; what is in the file is the
/// directory that the holder writes to, for whoever cleans up behind it.
struct SlotLock(File);

impl Throwaway {
    /// Boots a container over a root file system and waits until its init is done: unprivileged if the base is shifted,
    /// which is where containers run in it too (with files of its own instead of layers: layers over layers are refused).
    /// What it writes is below the directory `work`.
    ///
    /// # Errors
    /// When this machine lacks something, or the container does not start.
    pub fn boot(base: &Base, work: &Path) -> Result<Throwaway, LabError> {
        super::check(&[])?;
        let (slot, slot_lock) = take_slot()?;
        fs::create_dir_all(work).map_err(LabError::at(work))?;
        let dir = overlayable(work)?.join(directory(slot));
        slot_lock.note(&dir)?;
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
        let throwaway = Throwaway { container, settings, id, slot, slot_lock };
        fs::create_dir_all(&dir).map_err(LabError::at(&dir))?;
        if unprivileged {
            run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(base.root()).arg(&upper))?;
        }
        throwaway.start()?;
        Ok(throwaway)
    }

    /// Destroys what killed programs left behind: containers in slots that nobody holds.
    ///
    /// # Errors
    /// When one cannot be destroyed.
    pub fn sweep() -> Result<(), LabError> {
        for slot in (0..SLOTS).filter(|slot| Path::new(LOCKS).join(slot.to_string()).exists()) {
            if let Some(lock) = SlotLock::take(slot)? {
                lock.clean(slot)?;
            }
        }
        Ok(())
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
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever takes the slot.
        let _left = self.slot_lock.clean(self.slot);
    }
}

impl SlotLock {
    /// The slot, unless somebody has it.
    fn take(slot: u32) -> Result<Option<SlotLock>, LabError> {
        let dir = Path::new(LOCKS);
        fs::create_dir_all(dir).map_err(LabError::at(dir))?;
        let path = dir.join(slot.to_string());
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(LabError::at(&path))?;
        let taken = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok(taken.then_some(SlotLock(file)))
    }

    /// Notes where its holder writes.
    fn note(&self, dir: &Path) -> Result<(), LabError> {
        let written = self.0.set_len(0).and_then(|()| self.0.write_all_at(dir.as_os_str().as_bytes(), 0));
        written.map_err(LabError::at(Path::new(LOCKS)))
    }

    /// Nothing is left of the slot's container, whoever made it.
    fn clean(&self, slot: u32) -> Result<(), LabError> {
        let mut noted = Vec::new();
        (&self.0).rewind().and_then(|()| (&self.0).read_to_end(&mut noted)).map_err(LabError::at(Path::new(LOCKS)))?;
        let name = (FIRST_ID + slot).to_string();
        Container::new(Path::new(HOME), &name, None).kill()?;
        let noted = PathBuf::from(OsString::from_vec(noted));
        // Nothing but such a directory is believed to be one.
        let ours = noted.is_absolute() && noted.file_name() == Some(directory(slot).as_ref());
        for dir in ours.then_some(noted).into_iter().chain([Path::new(HOME).join(&name)]) {
            if dir.exists() {
                fs::remove_dir_all(&dir).map_err(LabError::at(&dir))?;
            }
        }
        self.note(Path::new(""))
    }
}

/// Name of the directory that the container of a slot writes to.
fn directory(slot: u32) -> String {
    format!("container-{slot}")
}

/// A slot that nobody on this machine uses, with nothing in it.
fn take_slot() -> Result<(u32, SlotLock), LabError> {
    for slot in 0..SLOTS {
        let Some(lock) = SlotLock::take(slot)? else { continue };
        lock.clean(slot)?;
        // The kernel may take a moment to remove the link of a container that was killed.
        if !network::is_linked(slot) {
            return Ok((slot, lock));
        }
    }
    Err(LabError::failed("a container", format!("{SLOTS} of them run already")))
}
