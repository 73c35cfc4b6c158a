//! What scripts can call. Every verb is one entry of a table: its [`Signature`] and what it does. The tables are
//! registered with engines here and read by the checks, so that both know the same names, options and types.

mod asserts;
mod compose;
mod control;
mod exec;
mod facts;
mod files;
mod given;
mod kernel;
mod knowledge;
mod model;
mod network;
mod node;
pub mod signature;
mod system;
mod test;
mod text;
mod trouble;

use std::any::TypeId;
use std::sync::{Arc, LazyLock};

use rhai::{Dynamic, EvalAltResult, FuncRegistration, ImmutableString, Module, NativeCallContext, RhaiFunc};

pub(crate) use exec::Ran;
pub(crate) use facts::{DECLARED, Subject};
pub(crate) use given::{Answer, Context, Given, from_json, to_json};
pub(crate) use model::ModelMachine;
use signature::{Kind, Signature, Type};

use super::context::Run;
use super::error::Thrown;
use super::harness::Case;
use super::models::Calling;

/// One entry of a table: what can be called, and what it does for the context `C`.
pub(crate) struct Verb<C: 'static> {
    /// What can be called.
    pub signature: Signature,
    /// What it does.
    pub call: fn(&Given<C>) -> Answer,
}

/// Shorthand for an entry.
pub(crate) const fn verb<C>(signature: Signature, call: fn(&Given<C>) -> Answer) -> Verb<C> {
    Verb { signature, call }
}

/// Verbs about one thing, and its name in the reference.
pub(crate) struct Table<C: 'static> {
    /// Heading in the reference.
    title: &'static str,
    /// What can be called.
    verbs: &'static [Verb<C>],
}

const fn table<C>(title: &'static str, verbs: &'static [Verb<C>]) -> Table<C> {
    Table { title, verbs }
}

/// Tables of features and apps, in the order of the reference.
const RUN: &[Table<Arc<Run>>] = &[
    table("Files", files::VERBS),
    table("The system", system::VERBS),
    table("The kernel", kernel::VERBS),
    table("Programs", exec::VERBS),
    table("Containers", compose::VERBS),
    table("The network", network::VERBS),
    table("The node", node::VERBS),
    table("Facts", facts::VERBS),
    table("Beyond the machine", knowledge::VERBS),
    table("The course of a script", control::VERBS),
];

/// Tables of program models.
const MODEL: &[Table<Calling>] = &[table("The modelled machine", model::VERBS)];

/// Tables of script tests.
const TEST: &[Table<Case>] = &[
    table("Tests: guests", test::VERBS),
    table("Tests: asserts", asserts::VERBS),
    table("Tests: what goes wrong", trouble::VERBS),
];

static FOR_RUNS: LazyLock<Arc<Module>> = LazyLock::new(|| Arc::new(module(RUN)));
static FOR_MODELS: LazyLock<Arc<Module>> = LazyLock::new(|| Arc::new(module(MODEL)));

static FOR_TESTS: LazyLock<Arc<Module>> = LazyLock::new(|| Arc::new(module(TEST)));

/// The module that engines of runs share.
pub(crate) fn for_runs() -> Arc<Module> {
    Arc::clone(&FOR_RUNS)
}

/// The module that engines of program models share.
pub(crate) fn for_models() -> Arc<Module> {
    Arc::clone(&FOR_MODELS)
}

/// The module that engines of script tests share.
pub(crate) fn for_tests() -> Arc<Module> {
    Arc::clone(&FOR_TESTS)
}

/// Signatures of everything that script tests can call.
pub(crate) fn test_signatures() -> Vec<&'static Signature> {
    signatures(TEST)
}

/// Signatures of everything that features and apps can call.
pub(crate) fn run_signatures() -> Vec<&'static Signature> {
    signatures(RUN)
}

/// Signatures of everything that program models can call.
pub(crate) fn model_signatures() -> Vec<&'static Signature> {
    signatures(MODEL)
}

/// Signatures of features and apps by the headings of their tables.
pub(crate) fn run_tables() -> Vec<(&'static str, Vec<&'static Signature>)> {
    titled(RUN)
}

/// Signatures of program models by the headings of their tables, without the text helpers.
pub(crate) fn model_tables() -> Vec<(&'static str, Vec<&'static Signature>)> {
    titled(MODEL)
}

/// Signatures of script tests by the headings of their tables, without the text helpers.
pub(crate) fn test_tables() -> Vec<(&'static str, Vec<&'static Signature>)> {
    titled(TEST)
}

/// Signatures of the helpers that every script has.
pub(crate) fn helper_table() -> (&'static str, Vec<&'static Signature>) {
    ("Texts and lists", text::Helpers::<Arc<Run>>::VERBS.iter().map(|verb| &verb.signature).collect())
}

fn titled<C>(tables: &'static [Table<C>]) -> Vec<(&'static str, Vec<&'static Signature>)> {
    let signatures = |table: &'static Table<C>| table.verbs.iter().map(|verb| &verb.signature).collect();
    tables.iter().map(|table| (table.title, signatures(table))).collect()
}

fn signatures<C: Context>(tables: &'static [Table<C>]) -> Vec<&'static Signature> {
    with_helpers(tables).map(|verb| &verb.signature).collect()
}

/// Everything in some tables, and the text helpers that every script has.
fn with_helpers<C: Context>(tables: &'static [Table<C>]) -> impl Iterator<Item = &'static Verb<C>> {
    tables.iter().map(|table| table.verbs).chain([text::Helpers::<C>::VERBS]).flatten()
}

/// A module of some tables, with the text helpers that every script has.
fn module<C: Context>(tables: &'static [Table<C>]) -> Module {
    let mut module = Module::new();
    for verb in with_helpers(tables) {
        register(&mut module, verb);
    }
    say_what_it_is::<Subject>(&mut module);
    say_what_it_is::<crate::machine::Change>(&mut module);
    say_what_it_is::<Ran>(&mut module);
    say_what_it_is::<Thrown>(&mut module);
    for name in ["to_string", "to_debug"] {
        let site = |_: &mut knowledge::SiteView| ImmutableString::from(Type::Site.word());
        FuncRegistration::new(name).set_into_module(&mut module, site);
    }
    module
}

/// Registers what stands for values of a type in texts.
fn say_what_it_is<T: rhai::Variant + Clone>(module: &mut Module) {
    for name in ["to_string", "to_debug"] {
        let shown =
            |value: &mut T| ImmutableString::from(given::shown(&Dynamic::from(value.clone())).unwrap_or_default());
        FuncRegistration::new(name).set_into_module(module, shown);
    }
}

fn register<C: Context>(module: &mut Module, verb: &'static Verb<C>) {
    let signature = &verb.signature;
    let mut receivers: Vec<Option<TypeId>> = signature.on.iter().map(|on| type_id(*on)).collect();
    receivers.dedup();
    if receivers.is_empty() {
        receivers.push(None);
    }
    let (fewest, most) = signature.arity();
    for receiver in receivers {
        for types in (fewest..=most).flat_map(|arity| forms(signature, receiver, arity)) {
            let call = move |context: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
                let context = context.expect("registered as a function that takes its context");
                let args: Vec<Dynamic> = args.iter().map(|arg| arg.flatten_clone()).collect();
                invoke(verb, &context, args).map_err(Box::<EvalAltResult>::from)
            };
            // Arguments of a method come by reference, so that calling one on a constant must be declared harmless.
            let function = match receiver {
                Some(_) => {
                    RhaiFunc::Method { func: Arc::new(call), has_context: true, is_pure: true, is_volatile: true }
                }
                None => RhaiFunc::Pure { func: Arc::new(call), has_context: true, is_pure: true, is_volatile: true },
            };
            let registration = match signature.property {
                true => FuncRegistration::new_getter(signature.name),
                false => FuncRegistration::new(signature.name),
            };
            registration.set_into_module_raw(module, types, function);
        }
    }
}

/// Parameter types under which a call is registered. Ours take anything and check it themselves; but an exact type wins
/// over anything, and rhai has a `sleep` of its own for numbers, which would block in real time.
fn forms(signature: &Signature, receiver: Option<TypeId>, arity: usize) -> Vec<Vec<TypeId>> {
    let anything = TypeId::of::<Dynamic>();
    let mut general: Vec<TypeId> = receiver.into_iter().collect();
    general.resize(general.len() + arity, anything);
    let mut forms = vec![general];
    if let ([one], None, 1) = (signature.args, receiver, arity)
        && one.kind == Kind::Seconds
    {
        forms.extend([vec![TypeId::of::<i64>()], vec![TypeId::of::<f64>()]]);
    }
    forms
}

fn invoke<C: Context>(verb: &'static Verb<C>, context: &NativeCallContext, mut args: Vec<Dynamic>) -> Answer {
    let run = context.tag().and_then(|tag| tag.read_lock::<C>().map(|run| run.clone()));
    let run = run.ok_or_else(|| Thrown::invalid(format!("`{}` is not known here", verb.signature.name)))?;
    let subject = if verb.signature.on.is_empty() { Dynamic::UNIT } else { args.remove(0) };
    run.begins(&verb.signature, context.call_source(), context.call_position())?;
    if let Some(subject) = subject.read_lock::<Subject>() {
        subject.allows(&verb.signature)?;
    }
    (verb.call)(&Given::read(&run, context, &verb.signature, subject, args)?)
}

fn type_id(on: Type) -> Option<TypeId> {
    Some(match on {
        Type::Text => TypeId::of::<ImmutableString>(),
        Type::Array => TypeId::of::<rhai::Array>(),
        Type::Map => TypeId::of::<rhai::Map>(),
        Type::Guest | Type::Node => TypeId::of::<Subject>(),
        Type::Change => TypeId::of::<crate::machine::Change>(),
        Type::Output => TypeId::of::<Ran>(),
        Type::Site => TypeId::of::<knowledge::SiteView>(),
        Type::Error => TypeId::of::<Thrown>(),
        Type::Model => TypeId::of::<ModelMachine>(),
        Type::TestGuest => TypeId::of::<test::TestGuest>(),
        _ => return None,
    })
}
