//! Engines: one per run, cheap because they share their modules, and limited.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rhai::packages::{Package, StandardPackage};
use rhai::{Dynamic, Engine, Module, OptimizationLevel, Shared};

use super::error::{Ended, Thrown};
use super::memory::Growth;
use super::resolver::Resolver;
use super::{Library, api};
use crate::host::interrupt::Interrupt;

/// Stack that a script may need at its deepest with the limits below (debug builds need half of it).
pub const STACK: usize = 16 * 1024 * 1024;

/// What values may hold, for whoever ran into it.
pub(crate) const LIMITS: &str = "texts hold up to 16 MiB, lists 100 000 items, maps 10 000 keys";

/// Operations between two looks at the clock: each may make a text of the greatest length.
const BETWEEN_LOOKS: u64 = 8;

/// A thread on which scripts may run: a run stays on the thread of its caller.
pub fn thread(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK)
}

static STANDARD: LazyLock<Shared<Module>> = LazyLock::new(|| StandardPackage::new().as_shared_module());

/// An engine with the language, the limits and nothing that reaches out.
///
/// rhai's own defaults differ between debug and release builds, so all limits are set. Its optimiser panics on an
/// assignment to a property of a constant map, and gains nothing measurable, so it is off.
fn limited() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_max_call_levels(32)
        .set_max_expr_depths(64, 64)
        .set_max_operations(5_000_000)
        .set_max_string_size(16 * 1024 * 1024)
        .set_max_array_size(100_000)
        .set_max_map_size(10_000)
        .set_max_variables(2_000)
        .set_max_functions(500)
        .set_max_modules(50)
        .set_max_strings_interned(256);
    engine.disable_symbol("eval");
    engine.register_global_module(Shared::clone(&STANDARD));
    engine
}

/// An engine that only compiles.
pub(crate) fn compiler() -> Engine {
    limited()
}

/// An engine that knows the language and nothing of ours, for listing the standard functions.
pub(crate) fn standard() -> Engine {
    limited()
}

/// An engine whose native functions find what they act for through the tag, and whose imports come from the library.
fn with(module: Arc<Module>, tag: Dynamic, library: &Library) -> Engine {
    let mut engine = limited();
    engine.register_global_module(module);
    engine.set_default_tag(tag);
    engine.set_module_resolver(Resolver::new(library.clone()));
    if let Some(recorder) = library.recorder() {
        recorder.watch(&mut engine);
    }
    engine
}

/// Ends scripts that hold too much, and those that `ended` says something about.
fn watch(engine: &mut Engine, ended: impl Fn() -> Option<Ended> + Send + Sync + 'static) {
    let growth = Mutex::new(Growth::default());
    engine.on_progress(move |operations| {
        let looks = operations % BETWEEN_LOOKS == 0;
        let too_much = looks && growth.lock().unwrap_or_else(PoisonError::into_inner).is_too_much();
        let too_much = too_much.then(|| Ended::Lost(Box::new(Thrown::new("memory", Growth::problem()).hint(LIMITS))));
        too_much.or_else(&ended).map(Dynamic::from)
    });
}

/// An engine for one run of a feature or an app, ended by the interrupt.
pub(crate) fn for_run(tag: Dynamic, interrupt: Interrupt, library: &Library) -> Engine {
    let mut engine = with(api::for_runs(), tag, library);
    watch(&mut engine, move || interrupt.is_set().then_some(Ended::Interrupted));
    engine
}

/// So long a call of a program model may compute: a thousand times what the slowest needs.
const MODEL_TIME: Duration = Duration::from_secs(10);

/// An engine for one call of a program model, which has a thread of its own. Nobody waits for it much longer than
/// [`MODEL_TIME`], Ctrl-C or not.
pub(crate) fn for_model(tag: Dynamic, library: &Library) -> Engine {
    let mut engine = with(api::for_models(), tag, library);
    let until = Instant::now() + MODEL_TIME;
    let problem = || format!("it computed for more than {} s", MODEL_TIME.as_secs());
    let late = move || Ended::Lost(Box::new(Thrown::new("timeout", problem())));
    // On a busy machine the clock alone would end models that had no chance.
    let is_late = move || Instant::now() > until && computed().is_none_or(|time| time > MODEL_TIME);
    watch(&mut engine, move || is_late().then(late));
    engine
}

/// How long this thread has been computing, where the kernel tells.
fn computed() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// An engine for one case of a script test.
pub(crate) fn for_test(tag: Dynamic, library: &Library) -> Engine {
    let mut engine = with(api::for_tests(), tag, library);
    watch(&mut engine, || None);
    engine
}
