//! `pveam`: container templates. The emulated catalogue offers those that the sandbox can unpack.

use std::fmt::Write;
use std::time::Duration;

use super::{bad_parameter, not_modelled};
use crate::pve::argv::Call;
use crate::sandbox::session::{Done, Session, fail};
use crate::sandbox::storage::split;

/// What the vendor offers: section and file.
const OFFERED: [(&str, &str); 3] = [
    ("system", "debian-12-standard_12.12-1_amd64.tar.zst"),
    ("system", "debian-13-standard_13.1-2_amd64.tar.zst"),
    ("system", "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"),
];

/// Time of a download.
const DOWNLOAD: Duration = Duration::from_secs(6);

/// Runs one command of `pveam`.
pub(super) fn run(s: &mut Session, call: &Call) -> Done<i32> {
    match call.command.as_str() {
        "pveam update" => Ok(0),
        "pveam available" => available(s, call),
        "pveam list" => list(s, call),
        "pveam download" => download(s, call),
        _ => Err(not_modelled(call)),
    }
}

fn available(s: &mut Session, call: &Call) -> Done<i32> {
    for (section, file) in OFFERED {
        if call.option("section").is_none_or(|wanted| wanted == section) {
            s.print(format!("{section:<15} {file:<60}"));
        }
    }
    Ok(0)
}

fn list(s: &mut Session, call: &Call) -> Done<i32> {
    let storage = &call.positionals[0];
    s.world().usable_storage(storage).map_err(fail)?;
    let mut text = format!("{:<60} {:<6}\n", "NAME", "SIZE");
    let here = s.world().templates.iter().filter(|t| split(&t.volid).is_some_and(|(id, _)| id == storage));
    for template in here {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<60} {:.2}MB", template.volid, template.size as f64 / f64::from(1 << 20));
    }
    s.write(text.as_bytes());
    Ok(0)
}

/// Its exit status tells nothing about the task.
fn download(s: &mut Session, call: &Call) -> Done<i32> {
    let [storage, file] = &call.positionals[..] else { return Err(fail("400 not enough arguments")) };
    if !OFFERED.iter().any(|(_, offered)| offered == file) {
        return Err(bad_parameter(call, "template", "no such template"));
    }
    let storage = s.world().usable_storage(storage).map_err(fail)?;
    if !storage.takes("vztmpl") {
        return Err(fail(format!("storage '{}' is not configured for templates", storage.id)));
    }
    let volid = format!("{}:vztmpl/{file}", storage.id);
    if s.world().templates.iter().any(|template| template.volid == volid) {
        s.print("OK, got correct file already, no need to download");
        return Ok(0);
    }
    s.wait(DOWNLOAD)?;
    s.world_mut().add_template(&volid);
    s.print("download finished");
    Ok(0)
}
