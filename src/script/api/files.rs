//! Verbs for files and directories.

use std::sync::Arc;

use rhai::Dynamic;

use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Given, Verb, verb};
use crate::machine::{self, Block, File, Line, SealedJson};
use crate::op::{Attributes, Content};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};
use crate::secret::Sealed;

const MACHINE: &[Type] = &[Type::Guest, Type::Node];

const PATH: Parameter = required("path", Kind::Path, "where in the machine");
const MODE: Parameter = optional("mode", Kind::Mode, "permission bits, such as \"0640\"; left alone if not given");
const OWNER: Parameter = optional("owner", Kind::Text, "name of a user; left alone if not given");
const GROUP: Parameter = optional("group", Kind::Text, "name of a group; left alone if not given");

const fn changing(name: &'static str, doc: &'static str) -> Signature {
    Signature::method(MACHINE, name, doc).returns(Type::Change).changes()
}

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        changing("file", "A file with this content, mode and owner, put in place whole.")
            .takes(&[PATH])
            .options(&[
                optional("content", Kind::Content, "the whole text; may hold secrets"),
                optional("source", Kind::Text, "instead of `content`: a file beside the script"),
                MODE,
                OWNER,
                GROUP,
                optional("validate", Kind::Command, "program that must accept the new content; `%s` is its path"),
            ])
            .errors(&[
                "when something other than a file is there, or the directory above is missing",
                "when the owner or the group does not exist",
                "when `validate` does not accept the content: the old file stays",
            ])
            .example(r#"guest.file("/etc/motd", #{ content: "Welcome to " + guest.fqdn, mode: "0644" });"#),
        |given| {
            let content = match (given.maybe_sealed("content")?, given.maybe_text("source")?) {
                (Some(_), Some(_)) => {
                    return Err(Thrown::invalid("`file` takes `content` or `source`, not both").into());
                }
                (Some(content), None) => Some(Content::Text(content)),
                (None, Some(source)) => Some(Content::Bytes(given.run.asset(&source)?.bytes.into())),
                (None, None) => None,
            };
            let file = File { content, attributes: attributes(given)?, validate: given.command("validate")? };
            given.run.changed(given.run.machine.file(&given.text("path")?, &file)?)
        },
    ),
    verb(
        changing("template", "A file made of a template beside the script (Jinja syntax) and variables.")
            .takes(&[PATH])
            .options(&[
                required("source", Kind::Text, "the template, a file beside the script"),
                optional("vars", Kind::Data, "a map of variables; an unknown one in the template is an error"),
                MODE,
                OWNER,
                GROUP,
                optional("validate", Kind::Command, "program that must accept the new content; `%s` is its path"),
            ])
            .errors(&[
                "when something other than a file is there, or the directory above is missing",
                "when the owner or the group does not exist",
                "when the template does not parse, or names a variable that `vars` does not have",
            ])
            .example(r#"guest.template("/etc/motd", #{ source: "motd.j2", vars: #{ name: guest.name } });"#),
        |given| {
            let name = given.text("source")?;
            let source = given.run.asset_text(&name)?;
            let variables = match given.data("vars")? {
                Some(variables) => given.run.resolve_json(&variables)?,
                None => SealedJson::from(serde_json::json!({})),
            };
            let file = File { content: None, attributes: attributes(given)?, validate: given.command("validate")? };
            given.run.changed(given.run.machine.template(&given.text("path")?, &name, &source, &variables, &file)?)
        },
    ),
    verb(
        changing("dir", "A directory, its parents too.")
            .takes(&[PATH])
            .options(&[MODE, OWNER, GROUP])
            .errors(&["when something other than a directory is there", "when the owner or the group does not exist"])
            .example(r#"guest.dir("/srv/web/data", #{ mode: "0750", owner: "www-data" });"#),
        |given| given.run.changed(given.run.machine.dir(&given.text("path")?, &attributes(given)?)?),
    ),
    verb(
        changing("link", "A symlink.")
            .takes(&[PATH, required("target", Kind::Text, "where it points; may be relative and need not exist")])
            .errors(&["when something other than a symlink is there"])
            .example(r#"guest.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC");"#),
        |given| given.run.changed(given.run.machine.link(&given.text("path")?, &given.text("target")?)?),
    ),
    verb(
        changing("absent", "Nothing at this path.")
            .takes(&[PATH])
            .options(&[optional(
                "recursive",
                Kind::Bool,
                "whether a directory goes with all that is in it; false if not given",
            )])
            .errors(&["when it is a directory and `recursive` is not true", "when it is directly below `/`"])
            .example(r#"guest.absent("/etc/motd");"#),
        |given| {
            let recursive = given.maybe_bool("recursive").unwrap_or(false);
            given.run.changed(given.run.machine.absent(&given.text("path")?, recursive)?)
        },
    ),
    verb(
        changing("line", "One line of a text file.")
            .takes(&[PATH, required("line", Kind::Content, "the line, without its end")])
            .options(&[
                optional("matching", Kind::Text, "regular expression; the last line that it matches is replaced"),
                optional(
                    "after",
                    Kind::Text,
                    "regular expression; a new line comes after the last one that it matches",
                ),
                optional("absent", Kind::Bool, "whether the line shall not be there; false if not given"),
                MODE,
                OWNER,
                GROUP,
            ])
            .errors(&[
                "when the file is no text",
                "when the line holds a line break: that is a `block`",
                "when an expression does not parse",
            ])
            .example(r#"guest.line("/etc/default/locale", "LC_TIME=C.UTF-8", #{ matching: "^LC_TIME=" });"#),
        |given| {
            let options = Line {
                matching: given.maybe_text("matching")?,
                after: given.maybe_text("after")?,
                absent: given.maybe_bool("absent").unwrap_or(false),
                attributes: attributes(given)?,
            };
            let line = sealed(given, "line")?;
            given.run.changed(given.run.machine.line(&given.text("path")?, &line, &options)?)
        },
    ),
    verb(
        changing("block", "A marked region of a text file; an empty text takes it out.")
            .takes(&[
                PATH,
                required("name", Kind::Text, "name in the marks"),
                required("text", Kind::Content, "what stands between the marks"),
            ])
            .options(&[
                optional("comment", Kind::Text, "what starts a comment in this file; `#` if not given"),
                MODE,
                OWNER,
                GROUP,
            ])
            .errors(&["when the file is no text", "when the region begins but never ends"])
            .example(r##"guest.block("/etc/profile", "editor", "export EDITOR=vi", #{ comment: "#" });"##),
        |given| {
            let comment = given.maybe_text("comment")?.unwrap_or_else(|| "#".to_owned());
            let options = Block { comment, attributes: attributes(given)? };
            let text = sealed(given, "text")?;
            given.run.changed(given.run.machine.block(&given.text("path")?, &given.text("name")?, &text, &options)?)
        },
    ),
    verb(
        changing("json", "A JSON file of exactly this value, whatever its order and form.")
            .takes(&[PATH, required("value", Kind::Data, "the whole value; may hold secrets")])
            .options(&[MODE, OWNER, GROUP])
            .errors(&["when something other than a text file is there", "when the owner or the group does not exist"])
            .example(
                r#"guest.dir("/etc/web");
guest.json("/etc/web/config.json", #{ listen: 8080, log: "info" }, #{ mode: "0600" });"#,
            ),
        |given| {
            let value = given.run.resolve_json(&given.data("value")?.unwrap_or_default())?;
            given.run.changed(given.run.machine.json(&given.text("path")?, &value, &attributes(given)?)?)
        },
    ),
    verb(
        changing("json_set", "One member of a JSON file; objects are merged, everything else is replaced.")
            .takes(&[
                PATH,
                required("member", Kind::Text, "dotted path, such as `a.b.c`"),
                required("value", Kind::Data, "its value; may hold secrets"),
            ])
            .options(&[MODE, OWNER, GROUP])
            .errors(&["when the file is no JSON", "when the path leads through something other than an object"])
            .example(r#"guest.json_set("/etc/docker.json", "log-opts.max-size", "10m");"#),
        |given| {
            let value = given.run.resolve_json(&given.data("value")?.unwrap_or_default())?;
            let (path, member) = (given.text("path")?, given.text("member")?);
            given.run.changed(given.run.machine.json_set(&path, &member, &value, &attributes(given)?)?)
        },
    ),
    verb(
        changing("download", "A file from the network, fetched once by the node and compared with its digest.")
            .takes(&[PATH])
            .options(&[
                required("url", Kind::Url, "absolute URL"),
                required(
                    "sha256",
                    Kind::Digest,
                    "digest of the file (of the member, not of its archive); \"none\": TLS alone vouches for it",
                ),
                optional("unpack", Kind::Text, "only this member of the tar or zip archive"),
                MODE,
                OWNER,
                GROUP,
            ])
            .errors(&[
                "when nothing answers at `url`",
                "when what came has another digest",
                "when the archive has no such member",
            ])
            .example(
                r#"guest.download("/usr/local/bin/tool", #{
    url: "https://downloads.example.org/tool-1.0.tar.gz",
    sha256: "none",
    unpack: "tool",
    mode: "0755",
});"#,
            ),
        |given| {
            let source = machine::Source {
                url: given.text("url")?,
                sha256: Some(given.text("sha256")?).filter(|digest| digest != "none"),
                member: given.maybe_text("unpack")?,
            };
            given.run.changed(given.run.machine.download(&given.text("path")?, &source, &attributes(given)?)?)
        },
    ),
    verb(
        Signature::method(MACHINE, "read", "A file's text, or `()` if there is none.")
            .takes(&[PATH])
            .returns(Type::Any)
            .errors(&["when it is a directory, or larger than 16 MiB"])
            .example(
                r#"if guest.read("/etc/hostname") == () {
    fail("this guest has no name");
}"#,
            ),
        |given| {
            let text = given.run.machine.read(&given.text("path")?)?;
            Ok(text.map_or(Dynamic::UNIT, Dynamic::from))
        },
    ),
    verb(
        Signature::method(MACHINE, "exists", "Whether anything is at a path.")
            .takes(&[PATH])
            .returns(Type::Bool)
            .example(
                r#"if !guest.exists("/etc/motd") {
    guest.file("/etc/motd", #{ content: "welcome" });
}"#,
            ),
        |given| Ok(given.run.machine.exists(&given.text("path")?)?.into()),
    ),
];

pub(super) fn attributes(given: &Given<Arc<Run>>) -> Result<Attributes, Raised> {
    let mode = given.maybe_text("mode")?.map(|mode| machine::mode(&mode)).transpose()?;
    Ok(Attributes { mode, owner: given.maybe_text("owner")?, group: given.maybe_text("group")? })
}

fn sealed(given: &Given<Arc<Run>>, name: &'static str) -> Result<Sealed, Raised> {
    Ok(given.maybe_sealed(name)?.unwrap_or_else(|| Sealed::plain("")))
}
