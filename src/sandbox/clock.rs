//! The emulated clock, and the actors that live by it.
//!
//! An actor is a thread with a handle of the sandbox. At most one actor runs at a time. Whoever asks something of the
//! sandbox gives up its turn until the answer is due; when nobody runs any more, the clock jumps to the earliest due
//! moment and that actor runs on. So durations overlap, waiting costs nothing, and since ties are broken by the seed
//! alone, one seed fixes a whole run.
//!
//! ```text
//! join ──> Starting ──first call──> Due ──turn──> Running ──sleep, wait──> Due
//!                                    ^               └──park──> Parked ──wake──┐
//!                                    └─────────────────────────────────────────┘
//! ```
//! An actor that has joined but not called yet holds the clock back: its first call must not come late. An actor that
//! is parked does not. When everybody is parked and nothing is due, nobody will ever run again: that is a mistake of
//! the caller and ends every waiting actor with a panic that says who waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::random;

/// One actor.
pub(super) type ActorId = u64;

/// Microseconds since the Unix epoch, in the node's time.
pub(super) type Moment = u64;

/// The clock and everybody who waits for it.
pub(super) struct Clock(Mutex<Actors>);

struct Actors {
    now: Moment,
    seed: u64,
    next: ActorId,
    actors: BTreeMap<ActorId, Actor>,
    /// Real seconds that a jump of one second takes.
    pace: f64,
    /// Real time that the last jump has still to take.
    owed: Duration,
    /// How often the turn was handed on.
    handed: u64,
    /// Whoever has the turn lets real time pass.
    passing: bool,
    /// Why nobody will ever run again.
    stuck: Option<String>,
}

struct Actor {
    name: String,
    state: State,
    /// A wake that came before its park.
    woken: bool,
    /// How often it was scheduled; the n-th tie of an actor is always broken in the same way.
    turns: u64,
    turn: Arc<Condvar>,
}

/// So long, in real time, an actor may have the turn without asking anything. One that has it longer waits for another
/// actor by other means than [`Clock::park`] (it joins a thread, most likely), and that one will never run.
const PATIENCE: Duration = Duration::from_secs(120);

enum State {
    Starting,
    Running,
    Due { at: Moment, tie: u64, key: Option<String> },
    Parked,
}

impl Clock {
    /// A clock that shows `now`, with the calling thread as its first, running actor. A jump of one second takes `pace`
    /// seconds of real time.
    pub(super) fn new(now: Moment, seed: u64, pace: f64) -> (Clock, ActorId) {
        let mut actors = Actors {
            now,
            seed,
            next: 0,
            actors: BTreeMap::new(),
            pace,
            owed: Duration::ZERO,
            handed: 0,
            passing: false,
            stuck: None,
        };
        let first = actors.join("main");
        actors.actor(first).state = State::Running;
        (Clock(Mutex::new(actors)), first)
    }

    /// A new actor, live at once.
    pub(super) fn join(&self, name: &str) -> ActorId {
        self.actors().join(name)
    }

    /// The actor's thread is done.
    pub(super) fn leave(&self, id: ActorId) {
        let mut actors = self.actors();
        actors.actors.remove(&id);
        actors.hand_on();
    }

    /// What the clock shows to this actor.
    pub(super) fn now(&self, id: ActorId) -> Moment {
        self.arrive(id).now
    }

    /// What the clock shows, asked by nobody in particular.
    pub(super) fn shown(&self) -> Moment {
        self.actors().now
    }

    /// Waits for `duration`.
    pub(super) fn sleep(&self, id: ActorId, duration: Duration) {
        self.due(id, duration, None);
    }

    /// Waits until somebody calls [`Clock::notify`] with this key, for at most `limit`.
    pub(super) fn wait(&self, id: ActorId, key: &str, limit: Duration) {
        self.due(id, limit, Some(key.to_owned()));
    }

    /// Ends the wait of everybody who waits for `key`.
    pub(super) fn notify(&self, key: &str) {
        let mut actors = self.actors();
        let now = actors.now;
        for actor in actors.actors.values_mut() {
            if let State::Due { at, key: waits_for, .. } = &mut actor.state
                && waits_for.as_deref() == Some(key)
            {
                *at = now;
                *waits_for = None;
            }
        }
    }

    /// Waits for [`Clock::wake`]; one that came before is not lost.
    pub(super) fn park(&self, id: ActorId) {
        let mut actors = self.arrive(id);
        if std::mem::take(&mut actors.actor(id).woken) {
            return;
        }
        actors.actor(id).state = State::Parked;
        drop(self.wait_for_turn(actors, id));
    }

    /// Ends the park of another actor: it is due at once, and live before this call returns.
    pub(super) fn wake(&self, id: ActorId) {
        let mut actors = self.actors();
        let Some(actor) = actors.actors.get(&id) else { return };
        if matches!(actor.state, State::Parked) {
            let now = actors.now;
            actors.schedule(id, now, None);
        } else {
            actors.actor(id).woken = true;
        }
        // Nobody runs when the caller is a stranger to this clock (a signal handler).
        actors.hand_on();
    }

    fn due(&self, id: ActorId, after: Duration, key: Option<String>) {
        let mut actors = self.arrive(id);
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let at = actors.now.saturating_add(micros);
        actors.schedule(id, at, key);
        drop(self.wait_for_turn(actors, id));
    }

    /// Makes sure that it is this actor's turn: a new actor waits for its first one.
    fn arrive(&self, id: ActorId) -> MutexGuard<'_, Actors> {
        let mut actors = self.actors();
        if matches!(actors.actor(id).state, State::Starting) {
            let now = actors.now;
            actors.schedule(id, now, None);
            actors = self.wait_for_turn(actors, id);
        }
        actors
    }

    /// Gives up the turn and waits for the next one.
    fn wait_for_turn<'a>(&'a self, mut actors: MutexGuard<'a, Actors>, id: ActorId) -> MutexGuard<'a, Actors> {
        actors.hand_on();
        let turn = Arc::clone(&actors.actor(id).turn);
        while !matches!(actors.actor(id).state, State::Running) {
            if let Some(why) = actors.stuck.clone() {
                drop(actors);
                panic!("{why}");
            }
            let handed = actors.handed;
            let waited = turn.wait_timeout(actors, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            actors = waited.0;
            if waited.1.timed_out() && actors.handed == handed && !actors.passing {
                actors.give_up();
            }
        }
        let owed = std::mem::take(&mut actors.owed);
        if owed.is_zero() {
            return actors;
        }
        // It is this actor's turn, so nobody else's time goes on meanwhile.
        actors.passing = true;
        drop(actors);
        std::thread::sleep(owed);
        let mut actors = self.actors();
        actors.passing = false;
        actors
    }

    fn actors(&self) -> MutexGuard<'_, Actors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Actors {
    fn join(&mut self, name: &str) -> ActorId {
        let id = self.next;
        self.next += 1;
        let turn = Arc::new(Condvar::new());
        let actor = Actor { name: name.to_owned(), state: State::Starting, woken: false, turns: 0, turn };
        self.actors.insert(id, actor);
        id
    }

    fn actor(&mut self, id: ActorId) -> &mut Actor {
        self.actors.get_mut(&id).expect("a handle keeps its actor")
    }

    fn schedule(&mut self, id: ActorId, at: Moment, key: Option<String>) {
        let seed = self.seed;
        let actor = self.actor(id);
        actor.turns += 1;
        let tie = random::mix(&[seed, id, actor.turns]);
        actor.state = State::Due { at, tie, key };
    }

    /// Says who keeps everybody waiting.
    fn give_up(&mut self) {
        let busy = |actor: &&Actor| matches!(actor.state, State::Running | State::Starting);
        let names: Vec<&str> = self.actors.values().filter(busy).map(|actor| actor.name.as_str()).collect();
        let names = names.join(", ");
        self.stuck = Some(format!("sandbox: {names} neither asks anything nor parks, and the others wait"));
        for actor in self.actors.values() {
            actor.turn.notify_one();
        }
    }

    /// Gives the turn to whoever is due first, unless somebody still runs or is about to.
    fn hand_on(&mut self) {
        if self.actors.values().any(|actor| matches!(actor.state, State::Running | State::Starting)) {
            return;
        }
        let first = self.actors.iter().filter_map(|(id, actor)| match actor.state {
            State::Due { at, tie, .. } => Some((at, tie, *id)),
            _ => None,
        });
        if let Some((at, _, id)) = first.min() {
            let jump = Duration::from_micros(at.saturating_sub(self.now));
            self.owed += jump.mul_f64(self.pace);
            self.handed += 1;
            self.now = self.now.max(at);
            let actor = self.actor(id);
            actor.state = State::Running;
            actor.turn.notify_one();
        } else if !self.actors.is_empty() {
            let names: Vec<&str> = self.actors.values().map(|actor| actor.name.as_str()).collect();
            self.stuck = Some(format!("sandbox: nobody will ever wake {}: all of them wait", names.join(", ")));
            for actor in self.actors.values() {
                actor.turn.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn durations_overlap_and_cost_nothing() {
        let (clock, main) = Clock::new(0, 1, 0.0);
        let clock = Arc::new(clock);
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let (clock, id) = (Arc::clone(&clock), clock.join("sleeper"));
                std::thread::spawn(move || {
                    clock.sleep(id, SECOND * 3600 * (n + 1));
                    let now = clock.now(id);
                    clock.leave(id);
                    now
                })
            })
            .collect();
        clock.sleep(main, SECOND * 5 * 3600);
        assert_eq!(clock.now(main), 5 * 3600 * 1_000_000);
        clock.leave(main);
        let hours: Vec<Moment> = threads.into_iter().map(|t| t.join().unwrap() / 3_600_000_000).collect();
        assert_eq!(hours, [1, 2, 3]);
    }

    #[test]
    fn ties_are_broken_by_the_seed_alone() {
        let order = |seed: u64| {
            let (clock, main) = Clock::new(0, seed, 0.0);
            let (clock, seen) = (Arc::new(clock), Arc::new(Mutex::new(Vec::new())));
            for n in 0..6 {
                let (clock, seen, id) = (Arc::clone(&clock), Arc::clone(&seen), clock.join("actor"));
                std::thread::spawn(move || {
                    for round in 0..5 {
                        clock.sleep(id, SECOND);
                        seen.lock().unwrap().push((n, round));
                    }
                    clock.leave(id);
                });
            }
            clock.sleep(main, SECOND * 10);
            seen.lock().unwrap().clone()
        };
        let first = order(1);
        assert_eq!(first.len(), 30);
        assert!((0..20).all(|_| order(1) == first));
        assert_ne!(order(2), first);
    }

    #[test]
    fn a_wake_is_never_lost() {
        let (clock, main) = Clock::new(0, 1, 0.0);
        clock.wake(main);
        clock.park(main);

        let clock = Arc::new(clock);
        let (other, waker) = (Arc::clone(&clock), clock.join("waker"));
        std::thread::spawn(move || {
            other.sleep(waker, SECOND);
            other.wake(main);
            other.leave(waker);
        });
        clock.park(main);
        assert_eq!(clock.now(main), 1_000_000);
    }

    #[test]
    fn who_waits_for_ever_is_named() {
        let (clock, main) = Clock::new(0, 1, 0.0);
        let clock = Arc::new(clock);
        let (other, id) = (Arc::clone(&clock), clock.join("guest 101"));
        let thread = std::thread::spawn(move || other.park(id));
        clock.sleep(main, SECOND);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| clock.park(main)));
        let why = *ended.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(why, "sandbox: nobody will ever wake main, guest 101: all of them wait");
        assert!(thread.join().is_err());
    }

    #[test]
    fn a_wait_ends_with_its_notice_or_at_its_limit() {
        let (clock, main) = Clock::new(0, 1, 0.0);
        let clock = Arc::new(clock);
        let (other, id) = (Arc::clone(&clock), clock.join("notifier"));
        std::thread::spawn(move || {
            other.sleep(id, SECOND * 2);
            other.notify("lock");
            other.leave(id);
        });
        clock.wait(main, "lock", SECOND * 10);
        assert_eq!(clock.now(main), 2_000_000);
        clock.wait(main, "lock", SECOND * 10);
        assert_eq!(clock.now(main), 12_000_000);
    }

    #[test]
    fn at_a_pace_durations_overlap_and_take_real_time() {
        let began = std::time::Instant::now();
        let (clock, main) = Clock::new(0, 1, 0.01);
        let (clock, other) = (Arc::new(clock), Arc::new(Mutex::new(0)));
        let (its, id, seen) = (Arc::clone(&clock), clock.join("sleeper"), Arc::clone(&other));
        std::thread::spawn(move || {
            its.sleep(id, SECOND * 4);
            *seen.lock().unwrap() = its.now(id);
            its.leave(id);
        });
        clock.sleep(main, SECOND * 5);
        assert_eq!((*other.lock().unwrap(), clock.now(main)), (4_000_000, 5_000_000));
        assert!(began.elapsed() >= Duration::from_millis(50), "five seconds at a hundredth");
    }
}
