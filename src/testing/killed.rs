//! A script that is cut off between any two changing values and run again comes to the same end.
//!
//! What is random or tells the time differs between any two runs. So the script is applied twice without a cut, the second
//! time later and with other random numbers: whatever differs between those two is not compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Stand;
use crate::event::Failure;
use crate::sandbox::{Fault, World};
use crate::script::{Entry, StagedGuest};

/// Applies a script with a cut at every place, to copies of a guest, and then to the guest itself. Answers the number of
/// places.
pub(super) fn everywhere(stand: &Stand, script: &str, params: &Value) -> Result<usize, Failure> {
    let begin = stand.ground.live().sandbox.world();
    let (whole, changes) = applied(stand, begin.clone(), script, params)?;
    let (other, _) = applied(stand, begin.clone().stirred(), script, params)?;
    let different: BTreeSet<String> = whole.differences(&other, stand.id).into_iter().collect();
    for at in 1..=changes {
        let cut = Stand { ground: stand.ground.copy(begin.clone(), &[Fault::Cut(at)]), ..stand.clone() };
        let sandbox = cut.ground.live().sandbox;
        // Nothing to see where the very last answer is lost.
        drop(cut.call(Entry::Apply, script, params));
        let log = cut.did();
        let place = || match log.last() {
            Some(last) => format!("cut off at change {at} of {changes} (after `{last}`)"),
            None => format!("cut off at change {at} of {changes} (before anything)"),
        };
        let (end, _) = applied(stand, sandbox.world(), script, params).map_err(|failure| Failure {
            message: format!("{}, `{script}` does not go on: {}", place(), failure.message),
            ..failure
        })?;
        let wrong: Vec<String> =
            whole.differences(&end, stand.id).into_iter().filter(|what| !different.contains(what)).collect();
        if !wrong.is_empty() {
            return Err(Failure {
                output: Some(format!("other than without the cut:\n{}\nran until the cut:\n{}", wrong.join("\n"), log.join("\n"))),
                hint: Some("what a change leads to must follow from what is there, not from having just made it: `watch`, `creates`, `unless`".to_owned()),
                ..Failure::new(format!("{}, `{script}` comes to another end", place()))
            });
        }
    }
    stand.call(Entry::Apply, script, params).map_err(|error| error.failure())?;
    Ok(usize::try_from(changes).unwrap_or(usize::MAX))
}

/// Applies the script in a copy; the world then, and how many changing values it took.
fn applied(stand: &Stand, world: World, script: &str, params: &Value) -> Result<(World, u64), Failure> {
    let copy = Stand { ground: stand.ground.copy(world, &[]), ..stand.clone() };
    copy.call(Entry::Apply, script, params).map_err(|error| error.failure())?;
    let sandbox = copy.ground.live().sandbox;
    Ok((sandbox.world(), sandbox.changes()))
}
