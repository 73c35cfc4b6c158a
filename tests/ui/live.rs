//! The live view, on an emulated terminal, fed with events at given times.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use phoenix::event::{Asked, Event, Failure, Outcome, Sink, Stamped, Step};
use phoenix::model::GuestId;
use phoenix::ui::progress::{Form, Progress, Terminal, Verbosity};

/// A terminal whose screen the test sees.
#[derive(Clone)]
struct Screen {
    parser: Arc<Mutex<vt100::Parser>>,
    written: Arc<Mutex<String>>,
    colored: bool,
}

impl Screen {
    fn of(columns: u16, rows: u16) -> Screen {
        let parser = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 1000);
        let parser = Arc::new(Mutex::new(parser));
        Screen { parser, written: Arc::default(), colored: true }
    }

    /// Its lines, without blanks at their ends and empty ones at the end.
    fn lines(&self) -> Vec<String> {
        let parser = self.parser.lock().unwrap();
        let columns = parser.screen().size().1;
        let mut lines: Vec<String> =
            parser.screen().rows(0, columns.get()).map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// The screen once it is like this; the living lines are drawn some times a second.
    #[track_caller]
    fn becomes(&self, like: impl Fn(&[String]) -> bool) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if like(&lines) {
                return lines;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{lines:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Terminal for Screen {
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.parser.lock().unwrap().screen().size();
        (columns.get().into(), rows.get().into())
    }

    fn colored(&self) -> bool {
        self.colored
    }

    fn write(&mut self, text: &str) {
        self.written.lock().unwrap().push_str(text);
        // A terminal's line discipline does the same.
        self.parser.lock().unwrap().process(text.replace('\n', "\r\n").as_bytes());
    }
}

/// A run that is told event by event. No time passes between them but what they say.
struct Run(Arc<Progress>);

const SEVEN: [(u32, &str); 7] = [
    (600, "base"),
    (503, "ca"),
    (501, "gateway"),
    (502, "router"),
    (6000, "vm-template"),
    (5001, "portainer"),
    (5002, "docker-host"),
];

fn id(number: u32) -> GuestId {
    number.try_into().unwrap()
}

impl Run {
    fn on(screen: &Screen, verbosity: Verbosity) -> Run {
        Run::named(screen, verbosity, &SEVEN)
    }

    fn named(screen: &Screen, verbosity: Verbosity, guests: &[(u32, &str)]) -> Run {
        let form = Form::Live { terminal: Box::new(screen.clone()), rate: 0.0 };
        let run = Run(Progress::new(form, verbosity));
        let guests = guests.iter().map(|(number, name)| (id(*number), (*name).to_owned())).collect();
        run.at(0.0, Event::RunStarted { run: String::new(), command: String::new(), guests });
        run
    }

    fn at(&self, seconds: f64, event: Event) {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds);
        self.0.emit(Stamped { at, event });
    }

    fn step(&self, seconds: f64, number: u32, step: Step) {
        self.at(seconds, Event::StepStarted { guest: id(number), step });
    }

    fn done(&self, seconds: f64, number: u32, outcome: Outcome) {
        let elapsed = Duration::from_secs_f64(seconds);
        self.at(seconds, Event::GuestFinished { guest: id(number), outcome, elapsed });
    }

    fn waits(&self, seconds: f64, number: u32, on: &str) {
        self.at(seconds, Event::Waiting { guest: id(number), on: on.to_owned() });
    }

    /// In the middle: one done, five at work.
    fn goes_on(&self) {
        self.at(0.0, Event::GuestStarted { guest: id(600) });
        self.done(33.8, 600, Outcome::Changed);
        for (number, _) in &SEVEN[1..6] {
            self.at(33.8, Event::GuestStarted { guest: id(*number) });
        }
        self.step(34.0, 503, Step::Feature("step_ca".to_owned()));
        self.step(35.0, 501, Step::Snapshot("pre-configured".to_owned()));
        self.step(40.0, 502, Step::Ready);
        self.waits(41.0, 502, "an address of its own on the network");
        self.step(42.0, 6000, Step::Ready);
        self.waits(50.0, 6000, "the guest agent, which does not answer yet: it is installed at the first boot");
        self.step(97.6, 5001, Step::App("portainer".to_owned()));
    }
}

fn has_run(lines: &[String]) -> bool {
    lines.last().is_some_and(|line| line.contains("97.6s") || line.contains("1m37s"))
}

#[test]
fn seven_guests_on_eighty_columns() {
    let screen = Screen::of(80, 24);
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    let lines = screen.becomes(has_run);
    let expected = "
  33.8s   600 base         done                     changed   33.8s
 503 ca          feature step_ca          1m03s
 501 gateway     snapshot pre-configured  1m02s
 502 router      ready                    57.6s waits: an address of its own o…
6000 vm-template ready                    55.6s waits: the guest agent, which …
5001 portainer   app portainer             0.0s
1 of 7 guests done in 1m37s";
    assert_eq!(format!("\n{}", lines.join("\n")), expected);
}

#[test]
fn seven_guests_on_forty_columns() {
    let screen = Screen::of(40, 24);
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    let lines = screen.becomes(has_run);
    let expected = "
33.8s 600 base done changed 33.8s
 503 ca        feature step_ca    1m03s
 501 gateway   snapshot pre-con…  1m02s
 502 router    ready              57.6s
6000 vm-templ… ready              55.6s
5001 portainer app portainer       0.0s
1 of 7 guests done in 1m37s";
    assert_eq!(format!("\n{}", lines.join("\n")), expected);
}

#[test]
fn no_line_ever_wraps_or_is_left_behind() {
    for (columns, rows) in [(3, 3), (5, 2), (10, 5), (20, 6), (41, 24), (79, 9), (200, 50)] {
        let screen = Screen::of(columns, rows);
        let run = Run::on(&screen, Verbosity::Quiet);
        run.goes_on();
        let lines = screen.becomes(|lines| !lines.is_empty());
        assert!(lines.len() < usize::from(rows).max(3), "{columns}x{rows}: {lines:#?}");
        for number in [503, 501, 502, 6000, 5001] {
            run.done(99.0, number, Outcome::Unchanged);
        }
        screen.becomes(<[String]>::is_empty);
    }
}

#[test]
fn a_resized_terminal_gets_lines_that_fit() {
    let screen = Screen::of(80, 24);
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    screen.becomes(has_run);
    for columns in [40, 25, 100] {
        screen.parser.lock().unwrap().screen_mut().set_size(24.try_into().unwrap(), columns.try_into().unwrap());
        let lines = screen.becomes(|lines| {
            let fits = lines.iter().all(|line| line.chars().count() < columns.into());
            fits && lines.iter().filter(|line| line.contains("503 ")).count() == 1 && lines.len() > 6
        });
        assert_eq!(lines.iter().filter(|line| line.contains("1 of 7 guests")).count(), 1, "{lines:#?}");
    }
}

#[test]
fn wide_characters_and_control_codes_do_no_harm() {
    let screen = Screen::of(60, 10);
    let run = Run::named(&screen, Verbosity::Normal, &[(600, "日本語のとても長い名前のゲスト"), (601, "b")]);
    for number in [600, 601] {
        run.at(0.0, Event::GuestStarted { guest: id(number) });
        run.step(1.0, number, Step::Feature("x".to_owned()));
    }
    run.waits(2.0, 600, "一二三四五六七八九十一二三四五六七八九十");
    run.waits(2.0, 601, "two\nlines\u{1b}[2J and\ttabs");
    let lines = screen.becomes(|lines| lines.last().is_some_and(|line| line.contains("2.0s")));
    let expected = "
600 日本語のとて…  feature x   1.0s waits: 一二三四五六七…
601 b              feature x   1.0s waits: two lines [2J a…
0 of 2 guests done in 2.0s";
    assert_eq!(format!("\n{}", lines.join("\n")), expected);
}

#[test]
fn finished_guests_and_failures_scroll_above_once() {
    let screen = Screen::of(80, 12);
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    let cause = Failure::new("`pct start` failed");
    let failed = Outcome::Failed { cause };
    run.at(
        98.0,
        Event::StepFinished { guest: id(503), step: Step::Start, outcome: failed.clone(), elapsed: Duration::ZERO },
    );
    run.done(98.0, 503, failed);
    run.at(
        98.0,
        Event::StepFinished { guest: id(501), step: Step::Start, outcome: Outcome::Changed, elapsed: Duration::ZERO },
    );
    run.done(99.0, 501, Outcome::Changed);
    let lines = screen.becomes(|lines| lines.last().is_some_and(|line| line.contains("3 of 7")));
    let of = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (of("failed"), of("503 "), of("501 ")),
        (2, 2, 1),
        "the step that failed and the guest, told once: {lines:#?}"
    );
    drop(run);
    assert_eq!(screen.lines().len(), 4, "living lines do not outlive the run: {:#?}", screen.lines());
}

#[test]
fn who_asks_to_stop_sees_what_is_being_finished() {
    let screen = Screen::of(80, 24);
    let run = Run::on(&screen, Verbosity::Normal);
    run.at(0.0, Event::GuestStarted { guest: id(503) });
    run.step(1.0, 503, Step::Start);
    run.0.stopping();
    let lines = screen.becomes(|lines| lines.last().is_some_and(|line| line.contains("finishing these")));
    assert_eq!(lines[0], "finishing 503 ca (start); Ctrl-C again stops at once");
    assert!(lines[1].starts_with("503 ca"), "{lines:#?}");
    run.0.leave();
    assert_eq!(screen.lines(), ["finishing 503 ca (start); Ctrl-C again stops at once"]);
}

#[test]
fn nothing_lives_on_when_the_run_is_told() {
    let screen = Screen::of(80, 24);
    let run = Run::on(&screen, Verbosity::Quiet);
    run.goes_on();
    screen.becomes(has_run);
    let critical_path = Vec::new();
    run.at(
        99.0,
        Event::RunFinished { elapsed: Duration::ZERO, interrupted: false, critical_path, asked: Asked::default() },
    );
    assert_eq!(screen.lines(), Vec::<String>::new());
}

#[test]
fn a_question_has_the_terminal_for_itself() {
    let screen = Screen::of(80, 24);
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    screen.becomes(has_run);
    let seen = run.0.lend(|| {
        run.done(99.0, 501, Outcome::Changed);
        std::thread::sleep(Duration::from_millis(250));
        screen.lines()
    });
    assert_eq!(seen.len(), 1, "only what was finished before: {seen:#?}");
    let lines = screen.becomes(|lines| lines.len() > 2);
    assert!(lines[1].contains("501 gateway") && lines[1].contains("done"), "told after the answer: {lines:#?}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wished_but_lines_still_live() {
    let screen = Screen { colored: false, ..Screen::of(80, 24) };
    let run = Run::on(&screen, Verbosity::Normal);
    run.goes_on();
    screen.becomes(|_| screen.written.lock().unwrap().contains("\u{1b}[J"));
    let written = screen.written.lock().unwrap().clone();
    assert!(written.contains("503 ca") && !written.contains("\u{1b}[2m") && !written.contains("\u{1b}[1m"));
}
