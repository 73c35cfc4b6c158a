//! One system container of Debian's `lxc`: a root file system in layers, booted, entered and stopped.
//!
//! The layers are put together (overlayfs) in a mount namespace that lives exactly as long as the container, so nothing
//! is ever mounted on the machine itself and nothing is left when the container or this program is killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::base::{FIRST_ID, IDS};
use super::program::{LabError, last_lines, run};

/// Mounts a root file system (`$1`) out of layers (`$2`) or a directory (`$5`), waits for a word, and becomes LXC (`$3`,
/// `$4`). In a network namespace (`$6`) `/sys` is its own, with the machine's control groups.
const BOOT: &str = r#"
    if [ -n "$6" ]; then
        mount -t sysfs sysfs "$1"
        mount --rbind /sys/fs/cgroup "$1/fs/cgroup"
        mount --move "$1" /sys
    fi
    if [ -n "$2" ]; then mount -t overlay -o "$2" overlay "$1"; else mount --bind "$5" "$1"; fi
    echo mounted
    read -r word
    exec lxc-start -P "$3" -n "$4" </dev/null >/dev/null"#;

/// What a container's root file system is put together from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Directories that are only read, the lowest first. Without any, `upper` alone is the root file system.
    pub lower: Vec<PathBuf>,
    /// What the container writes.
    pub upper: PathBuf,
    /// An empty directory on the same file system as `upper`.
    pub work: PathBuf,
}

/// What a container is booted with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its host name.
    pub hostname: String,
    /// Its root file system.
    pub stack: Stack,
    /// Its ids are others than the machine's, as those of its files are.
    pub unprivileged: bool,
    /// Containers run in it.
    pub nesting: bool,
    /// Directories of this machine that it sees: where they are, where it sees them, whether it only reads them.
    pub binds: Vec<(PathBuf, String, bool)>,
    /// Lines about its network (`lxc.net.0.type = ...`).
    pub network: String,
}

/// A container, running or not.
#[derive(Clone, Debug)]
pub struct Container {
    name: String,
    home: PathBuf,
    namespace: Option<PathBuf>,
}

impl Container {
    /// The container of this name. `home` is LXC's directory (`-P`), where its configuration and its log are kept; it
    /// is run in a network `namespace` of its own, or in the machine's.
    pub fn new(home: &Path, name: &str, namespace: Option<&Path>) -> Container {
        Container { name: name.to_owned(), home: home.to_owned(), namespace: namespace.map(Path::to_owned) }
    }

    /// Boots it: returns when its init runs. `prepare` may write below the root file system before.
    ///
    /// # Errors
    /// When it does not start: with the last lines of its log.
    pub fn boot(
        &self,
        settings: &Settings,
        prepare: impl FnOnce(&Path) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        let dir = self.home.join(&self.name);
        let (root, config, log) = (dir.join("root"), dir.join("config"), dir.join("log"));
        for path in [&root, &settings.stack.upper, &settings.stack.work] {
            fs::create_dir_all(path).map_err(LabError::at(path))?;
        }
        let owner = if settings.unprivileged { FIRST_ID } else { 0 };
        if settings.stack.lower.is_empty() {
            // It is there already, with an owner of its own.
        } else {
            std::os::unix::fs::chown(&settings.stack.upper, Some(owner), Some(owner))
                .map_err(LabError::at(&settings.stack.upper))?;
        }
        let _absent = fs::remove_file(&log);
        fs::write(&config, self.config(settings, &root, &log)).map_err(LabError::at(&config))?;

        let what = format!("start of container {}", self.name);
        let failed = |error: std::io::Error| LabError::failed(&what, error);
        let mut holder = self.here("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-ec", BOOT, "sh"]);
        holder.arg(&root).arg(settings.stack.options()).arg(&self.home).arg(&self.name).arg(&settings.stack.upper);
        holder.arg(self.namespace.as_deref().unwrap_or(Path::new("")));
        let holder = holder.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = holder.spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        if line.trim() == "mounted" {
            let relative = root.strip_prefix("/").unwrap_or(&root);
            let seen = PathBuf::from(format!("/proc/{}/root", child.id())).join(relative);
            // Without the word at its input it ends, and its mounts with it.
            let prepared = prepare(&seen);
            if let (Ok(()), Some(stdin)) = (&prepared, &mut child.stdin) {
                stdin.write_all(b"go\n").map_err(failed)?;
            }
            drop(child.stdin.take());
            if prepared.is_err() {
                child.wait().map_err(failed)?;
                return prepared;
            }
        }
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(failed)?;
        }
        if child.wait().map_err(failed)?.success() {
            return Ok(());
        }
        let log = fs::read_to_string(&log).unwrap_or_default();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        let said = if errors.is_empty() { said } else { errors.join("\n") };
        Err(LabError::failed(what, last_lines(&said)))
    }

    /// Waits until its init is done starting services.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub fn wait_until_up(&self, limit: Duration) -> Result<(), LabError> {
        let until = Instant::now() + limit;
        loop {
            let state = self.enter(&["systemctl", "is-system-running"]).output();
            let state = state.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
            let state = state.unwrap_or_default();
            if state == "running" {
                return Ok(());
            }
            if Instant::now() > until {
                let reason = format!("its system is still `{state}` after {} s", limit.as_secs());
                return Err(LabError::failed(format!("container {}", self.name), reason));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// When LXC cannot be asked.
    pub fn is_running(&self) -> Result<bool, LabError> {
        if !self.home.join(&self.name).join("config").exists() {
            return Ok(false);
        }
        let said = run(self.lxc("lxc-info").args(["-s", "-H"]));
        said.map(|state| !matches!(state.trim(), "STOPPED" | "ABORTING"))
    }

    /// Process number of its init on this machine.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32, LabError> {
        let said = run(self.lxc("lxc-info").args(["-p", "-H"]))?;
        said.trim().parse().map_err(|_| LabError::failed(format!("container {}", self.name), "it does not run"))
    }

    /// Shuts it down as a machine whose power button was pressed; after `patience` at once. Nothing to do where it does not run.
    ///
    /// # Errors
    /// When it still runs afterwards.
    pub fn stop(&self, patience: Duration) -> Result<(), LabError> {
        if !self.is_running()? {
            return Ok(());
        }
        let seconds = patience.as_secs().max(1).to_string();
        run(self.lxc("lxc-stop").args(["-t", &seconds])).map(drop)
    }

    /// Stops it at once, as a power cut does. Nothing to do where it does not run.
    ///
    /// # Errors
    /// When it still runs afterwards.
    pub fn kill(&self) -> Result<(), LabError> {
        if self.is_running()? { run(self.lxc("lxc-stop").arg("-k")).map(drop) } else { Ok(()) }
    }

    /// Does something while none of its processes does anything.
    ///
    /// # Errors
    /// When it cannot be frozen, and what `work` says.
    pub fn frozen<T>(&self, work: impl FnOnce() -> Result<T, LabError>) -> Result<T, LabError> {
        run(&mut self.lxc("lxc-freeze"))?;
        let done = work();
        let thawed = run(&mut self.lxc("lxc-unfreeze"));
        let done = done?;
        thawed.map(|_| done)
    }

    /// Lets its processes go on, if a crash left them standing still.
    ///
    /// # Errors
    /// When it cannot be asked or thawed.
    pub fn thaw(&self) -> Result<(), LabError> {
        let state = run(self.lxc("lxc-info").args(["-s", "-H"]))?;
        if state.trim() == "FROZEN" { run(&mut self.lxc("lxc-unfreeze")).map(drop) } else { Ok(()) }
    }

    /// A program inside, with a clean environment.
    pub fn enter(&self, argv: &[&str]) -> Command {
        let mut command = self.lxc("lxc-attach");
        command.args(["--clear-env", "--"]).args(argv);
        command
    }

    /// The words in front of a container's name that lead into it: for [`crate::host::local::Paths`].
    pub fn way_in(home: &Path, namespace: Option<&Path>) -> Vec<String> {
        let enter = namespace.map(|path| vec!["nsenter".to_owned(), format!("--net={}", path.display())]);
        let mut words = enter.unwrap_or_default();
        words.extend(["lxc-attach".to_owned(), "-P".to_owned(), home.display().to_string()]);
        words
    }

    /// A program of LXC about this container.
    fn lxc(&self, program: &str) -> Command {
        let mut command = self.here(program);
        command.arg("-P").arg(&self.home).args(["-n", &self.name]);
        command
    }

    /// A program in the container's network namespace on this machine: LXC's own sockets are there.
    fn here(&self, program: &str) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", namespace.display())).arg(program);
                command
            }
        }
    }

    fn config(&self, settings: &Settings, root: &Path, log: &Path) -> String {
        let mut text = "lxc.include = /usr/share/lxc/config/debian.common.conf\n".to_owned();
        if settings.unprivileged {
            text += &format!(
                "lxc.include = /usr/share/lxc/config/debian.userns.conf\n\
                 lxc.idmap = u 0 {FIRST_ID} {IDS}\n\
                 lxc.idmap = g 0 {FIRST_ID} {IDS}\n"
            );
        }
        if settings.nesting {
            text += "lxc.include = /usr/share/lxc/config/nesting.conf\n";
        }
        text += &format!(
            "lxc.apparmor.profile = unconfined\n\
             lxc.uts.name = {}\n\
             lxc.rootfs.path = dir:{}\n\
             lxc.log.file = {}\n\
             lxc.log.level = ERROR\n",
            settings.hostname,
            root.display(),
            log.display(),
        );
        for (from, at, read_only) in &settings.binds {
            let options = if *read_only { "bind,ro,create=dir" } else { "bind,create=dir" };
            let (from, at) = (from.display().to_string().replace(' ', "\\040"), at.replace(' ', "\\040"));
            text += &format!("lxc.mount.entry = {from} {} none {options} 0 0\n", at.trim_start_matches('/'));
        }
        text + settings.network.as_str()
    }
}

impl Stack {
    /// Overlayfs's words for it; empty where there is nothing to lay over one another.
    fn options(&self) -> String {
        if self.lower.is_empty() {
            return String::new();
        }
        let lower: Vec<String> = self.lower.iter().rev().map(|dir| dir.display().to_string()).collect();
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), self.upper.display(), self.work.display())
    }
}

/// The whole path of a directory in which layers can be put together.
///
/// # Errors
/// When it is not there, or its name means something where layers are listed.
pub(super) fn overlayable(dir: &Path) -> Result<PathBuf, LabError> {
    let dir = dir.canonicalize().map_err(LabError::at(dir))?;
    if dir.to_string_lossy().contains([':', ',', '\\', '"', ' ']) {
        let reason = "a lab's directory has no `:`, `,`, `\\`, `\"` or space in its name: choose another";
        return Err(LabError::failed(dir.display().to_string(), reason));
    }
    Ok(dir)
}
