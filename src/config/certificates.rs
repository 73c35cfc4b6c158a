//! `certificate-manifest.json`: certificates kept on the node.

use super::asked::Kind;
use super::decode::Fields;
use super::file::File;
use super::json::Data;
use crate::finding::Finding;
use crate::model::Certificate;

/// Decodes the file.
pub fn decode(file: &File) -> Vec<Certificate> {
    let Some(value) = &file.value else { return Vec::new() };
    let Data::List(items) = &value.data else {
        let finding = Finding::error("wrong-type", format!("the file must be a list, found {}", value.kind()));
        file.report(finding, value.span.start..value.span.start + 1);
        return Vec::new();
    };
    items.iter().filter_map(|item| certificate(Fields::of_item(file, item, "[]")?)).collect()
}

fn certificate(fields: Fields) -> Option<Certificate> {
    for (name, hint) in [
        ("common_name", "the name the certificate is for"),
        ("cert_path", "where the certificate goes on the node"),
        ("key_path", "where the key goes on the node"),
    ] {
        fields.require(name, hint);
    }
    let paths = fields.path("cert_path").zip(fields.path("key_path"));
    let common_name = fields.string("common_name");
    let mut sans = fields.strings("sans");
    sans.extend(common_name.iter().filter(|name| !sans.contains(name)).cloned().collect::<Vec<_>>());
    let permissions = fields.string("permissions");
    if permissions.as_ref().is_some_and(|mode| u32::from_str_radix(mode, 8).map_or(true, |mode| mode > 0o777)) {
        fields.reject("bad-value", "permissions", "must be an octal mode like 640");
    }
    let owner = fields.string("owner");
    fields.unused("post_renewal_command", Kind::Text);
    let post_renewal_command =
        fields.value.get("post_renewal_command").and_then(|value| value.text()).map(str::to_owned);
    fields.finish();
    common_name.zip(paths).map(|(common_name, (cert_path, key_path))| Certificate {
        common_name,
        sans,
        cert_path,
        key_path,
        owner,
        permissions,
        post_renewal_command,
    })
}
