//! GPUs of the emulated node: their device files with the kernel's numbers, and what the driver says about itself.
//!
//! A world names device files by their paths; which numbers they have follows from their names. As on a real node the
//! number of `nvidia-uvm` is given out when the module is loaded: `/proc/devices` tells it.

use super::world::{NodeFile, World};
use crate::model::Site;

/// Version of the driver where the configuration says none.
const DRIVER: &str = "580.95.05";

/// Major number of the driver's own devices.
const NVIDIA: u32 = 195;
/// Major number that the kernel happened to give to `nvidia-uvm`.
const UVM: u32 = 507;
/// Major number that the kernel happened to give to `nvidia-caps`.
const CAPABILITIES: u32 = 237;

/// Numbers of the device file at a path.
pub(super) fn numbers(path: &str) -> (u32, u32) {
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    let numbered = |stem: &str| name.strip_prefix(stem)?.parse::<u32>().ok();
    match name {
        "nvidiactl" => (NVIDIA, 255),
        "nvidia-modeset" => (NVIDIA, 254),
        "nvidia-uvm" => (UVM, 0),
        "nvidia-uvm-tools" => (UVM, 1),
        "fuse" => (10, 229),
        "net/tun" => (10, 200),
        "kvm" => (10, 232),
        _ => numbered("nvidia-caps/nvidia-cap")
            .map(|number| (CAPABILITIES, number))
            .or_else(|| ["dri/card", "dri/renderD"].iter().find_map(|stem| Some((226, numbered(stem)?))))
            .unwrap_or_else(|| (NVIDIA, numbered("nvidia").unwrap_or_default())),
    }
}

impl World {
    /// The GPUs that guests are assigned, with a driver of the declared version.
    pub(super) fn add_gpus(&mut self, site: &Site) {
        let mut gpus: Vec<u32> = site.guests.values().flat_map(|guest| guest.lxc.gpus.iter().copied()).collect();
        gpus.sort_unstable();
        gpus.dedup();
        if gpus.is_empty() {
            return;
        }
        let shared = ["nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-uvm-tools"].map(str::to_owned);
        let capabilities = [1, 2].map(|number| format!("nvidia-caps/nvidia-cap{number}"));
        let names = gpus.iter().map(|gpu| format!("nvidia{gpu}")).chain(shared).chain(capabilities);
        let paths: Vec<String> = names.map(|name| format!("/dev/{name}")).collect();
        self.devices.retain(|path| !paths.contains(path));
        self.devices.extend(paths);
        let inside = site.guests.values().find_map(|guest| guest.lxc.nvidia.as_ref()?.driver_version.as_deref());
        let version = site.node.setup.nvidia.version.as_deref().or(inside).unwrap_or(DRIVER);
        let module =
            format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Jan  1 00:00:00 UTC 2026\n");
        let devices = format!(
            "Character devices:\n  1 mem\n 10 misc\n{NVIDIA} nvidia\n{NVIDIA} nvidia-modeset\n{NVIDIA} nvidiactl\n\
             {CAPABILITIES} nvidia-caps\n{UVM} nvidia-uvm\n\nBlock devices:\n  8 sd\n"
        );
        let files = [("/proc/driver/nvidia/version", module), ("/proc/devices", devices)];
        self.files.extend(files.map(|(path, text)| (path.to_owned(), NodeFile::Text(text))));
    }
}
