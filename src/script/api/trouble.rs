//! What script tests let go wrong: programs that answer otherwise, and faults.

use rhai::Dynamic;

use super::signature::{Kind, Signature, Type, optional, required};
use super::test::{PARAMS, SCRIPT, failure, guest};
use super::{Answer, Given, Verb, verb};
use crate::command::Output;
use crate::script::error::Thrown;
use crate::script::harness::Case;
use crate::script::staged::{Stub, Trouble};

const ON: &[Type] = &[Type::TestGuest];

pub(super) const VERBS: &[Verb<Case>] = &[
    verb(
        Signature::method(
            ON,
            "stub",
            "From now on this answers instead of a program, whether or not there is one. The latest that fits counts.",
        )
        .takes(&[required(
            "pattern",
            Kind::Text,
            "pattern of the program with its arguments; of a shell line the line, or a program in it",
        )])
        .options(&[
            optional("stdout", Kind::Text, "what it prints"),
            optional("stderr", Kind::Text, "what it prints as errors"),
            optional("code", Kind::Int, "its exit status; 0 if not given"),
            optional("times", Kind::Int, "how often it answers so; always if not given"),
        ])
        .example(
            r#"let g = guest(#{});
g.apply("docker");
g.stub("docker info*", #{ stderr: "no such socket", code: 1 });
assert_throws(|| g.health("docker"), "no such socket");"#,
        ),
        |given| {
            let text = |name| Ok::<_, crate::script::error::Raised>(given.text(name)?.into_bytes());
            let code = given.maybe_int("code").and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
            let answer = Output { code, stdout: text("stdout")?, stderr: text("stderr")?, ..Output::default() };
            let times = given.maybe_int("times").map(|times| u64::try_from(times).unwrap_or_default());
            guest(given)?.stub(Stub { pattern: given.text("pattern")?, answer, times });
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "fail_next", "The next thing done in the guest that is meant by this fails, once.")
            .takes(&[required(
                "what",
                Kind::Text,
                "a pattern of its line in the log (`install *`), a program, or `apt`, `file`, `unit`, `user`, `download`",
            )])
            .example(
                r#"let g = guest(#{});
g.fail_next("apt");
assert_throws(|| g.apply("docker"), "the package mirror cannot be resolved");
assert(g.apply("docker").changed);"#,
            ),
        |given| trouble(given, Trouble::Next(given.text("what")?)),
    ),
    verb(
        Signature::method(ON, "fill_disk", "Nothing more can be written below a directory.")
            .takes(&[optional("path", Kind::Path, "the directory; `/` if not given")])
            .example(
                r#"let g = guest(#{});
g.fill_disk("/etc");
assert_throws(|| g.apply("step_ca"), "No space left on device");
g.mend();
g.apply("step_ca");"#,
            ),
        |given| trouble(given, Trouble::FullDisk(given.maybe_text("path")?.unwrap_or_else(|| "/".to_owned()))),
    ),
    verb(
        Signature::method(ON, "lose_mirror", "No package mirror answers any more.").example(
            r#"let g = guest(#{});
g.lose_mirror();
assert_throws(|| g.apply("docker"), "the package mirror cannot be resolved");"#,
        ),
        |given| trouble(given, Trouble::NoMirror),
    ),
    verb(
        Signature::method(ON, "lose", "The guest stops in the middle of a change.")
            .takes(&[optional("after", Kind::Int, "changes before that one; 0 if not given")])
            .example(
                r#"let g = guest(#{});
g.lose(2);
assert_throws(|| g.apply("step_ca"), "it stopped");
g.mend();
g.apply("step_ca");
g.health("step_ca");"#,
            ),
        |given| trouble(given, Trouble::Lost(number(given, "after"))),
    ),
    verb(
        Signature::method(ON, "kill_after", "The run ends after so many changes; the next one finds what it left.")
            .takes(&[required("changes", Kind::Int, "how many changes come to their end")])
            .example(
                r#"let g = guest(#{});
g.kill_after(3);
assert_throws(|| g.apply("step_ca"), "the connection was cut");
g.apply("step_ca");
g.health("step_ca");"#,
            ),
        |given| trouble(given, Trouble::Cut(number(given, "changes"))),
    ),
    verb(
        Signature::method(ON, "mend", "Takes away whatever goes wrong. A guest that stopped runs again.").example(
            r#"let g = guest(#{});
g.lose_mirror();
g.mend();
assert(g.apply("docker").changed);"#,
        ),
        |given| trouble(given, Trouble::Over),
    ),
    verb(
        Signature::method(
            ON,
            "apply_killed_everywhere",
            "Applies a script to copies of the guest, each time cut off at another change and applied again, then to the \
             guest. Answers at how many places.",
        )
        .takes(&[SCRIPT, PARAMS])
        .returns(Type::Int)
        .errors(&["when it does not go on after a cut", "when it comes to another end than without one"])
        .example(
            r#"let g = guest(#{});
assert(g.apply_killed_everywhere("base_setup") > 0);"#,
        ),
        |given| {
            let params = given.data("params")?.unwrap_or_default();
            let places = guest(given)?.apply_killed_everywhere(&given.text("script")?, &params).map_err(failure)?;
            Ok(i64::try_from(places).unwrap_or(i64::MAX).into())
        },
    ),
];

fn number(given: &Given<Case>, name: &'static str) -> u64 {
    given.maybe_int(name).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

fn trouble(given: &Given<Case>, trouble: Trouble) -> Answer {
    match guest(given)?.trouble(trouble) {
        Ok(()) => Ok(Dynamic::UNIT),
        Err(problem) => Err(Thrown::new("guest", problem.message).into()),
    }
}
