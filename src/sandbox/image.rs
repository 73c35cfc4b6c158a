//! Cloud images: what a disk imported from one holds.

use super::body::Template;
use super::clock::Moment;
use super::core::Core;
use super::guest::node_inside;
use super::world::World;
use crate::op::{Op, OpValue};

/// What a file of the node is, as far as it can become the disk of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloudImage {
    /// An operating system that is modelled.
    Of(Template),
    /// Bytes that are no disk image.
    Broken,
}

/// File names of images that vendors publish, by their beginning.
const NAMES: [(&str, Template); 10] = [
    ("noble-server-cloudimg", Template::Ubuntu2404Cloud),
    ("ubuntu-24.04-server-cloudimg", Template::Ubuntu2404Cloud),
    ("ubuntu-24.04-minimal-cloudimg", Template::Ubuntu2404Cloud),
    ("jammy-server-cloudimg", Template::Ubuntu2204Cloud),
    ("ubuntu-22.04-server-cloudimg", Template::Ubuntu2204Cloud),
    ("ubuntu-22.04-minimal-cloudimg", Template::Ubuntu2204Cloud),
    ("debian-12-generic", Template::Debian12Cloud),
    ("debian-12-nocloud", Template::Debian12Cloud),
    ("debian-13-generic", Template::Debian13Cloud),
    ("debian-13-nocloud", Template::Debian13Cloud),
];

impl CloudImage {
    /// The image of this file name.
    pub(super) fn of_name(name: &str) -> Option<CloudImage> {
        let name = name.rsplit('/').next().unwrap_or(name);
        NAMES.iter().find(|(start, _)| name.starts_with(start)).map(|(_, template)| CloudImage::Of(*template))
    }

    /// The name by which the machine's inside is made of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            CloudImage::Of(template) => template.name(),
            CloudImage::Broken => "",
        }
    }

    /// Bytes of the disk that it describes.
    pub(super) fn virtual_size(self) -> u64 {
        const MIB: u64 = 1 << 20;
        match self {
            CloudImage::Of(Template::Ubuntu2404Cloud) => 3584 * MIB,
            CloudImage::Of(Template::Ubuntu2204Cloud) => 2252 * MIB,
            CloudImage::Of(_) => 3072 * MIB,
            CloudImage::Broken => 0,
        }
    }
}

impl World {
    /// The image that lies at a path of the node: by what was fetched with these bytes, else by its file name.
    pub(super) fn image_at(&mut self, core: &Core, path: &str, now: Moment) -> Option<CloudImage> {
        let digest = Op::Digest { path: path.to_owned() };
        let found = node_inside(self, core, now, |body, around| body.perform(&digest, around).result);
        if let Some(Ok(OpValue::Digest(Some(digest)))) = found
            && let Some(name) = self.images.get(&digest)
        {
            return if name.is_empty() { Some(CloudImage::Broken) } else { CloudImage::of_name(name) };
        }
        CloudImage::of_name(path)
    }

    /// Remembers what was fetched from a URL to a path of the node.
    pub(super) fn remember_image(&mut self, core: &Core, url: &str, path: &str, now: Moment) {
        let name = url.split(['?', '#']).next().unwrap_or(url).rsplit('/').next().unwrap_or(url).to_owned();
        let broken = self.is_spoilt(url);
        if !broken && CloudImage::of_name(&name).is_none() {
            return;
        }
        let digest = Op::Digest { path: path.to_owned() };
        let found = node_inside(self, core, now, |body, around| body.perform(&digest, around).result);
        if let Some(Ok(OpValue::Digest(Some(digest)))) = found {
            self.images_mut().insert(digest, if broken { String::new() } else { name });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_the_vendors_file_names() {
        let url = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
        assert_eq!(CloudImage::of_name(url), Some(CloudImage::Of(Template::Ubuntu2404Cloud)));
        assert_eq!(
            CloudImage::of_name("debian-13-genericcloud-amd64.qcow2"),
            Some(CloudImage::Of(Template::Debian13Cloud))
        );
        assert_eq!(CloudImage::of_name("debian-12-standard_12.12-1_amd64.tar.zst"), None);
    }
}
