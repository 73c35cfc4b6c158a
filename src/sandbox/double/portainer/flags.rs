//! The server's command line.

use crate::sandbox::body::sha256;

/// Options that take a value and do not count here. The first three say how a Docker endpoint is reached, not what the
/// server shows: a certificate given there is not seen by anybody.
const OTHERS: [&str; 16] = [
    "tlscacert",
    "tlscert",
    "tlskey",
    "host",
    "data",
    "assets",
    "templates",
    "logo",
    "log-level",
    "log-mode",
    "snapshot-interval",
    "tunnel-addr",
    "tunnel-port",
    "base-url",
    "trusted-origins",
    "secret-key-name",
];

/// Options without a value that do not count here.
const SWITCHES: [&str; 6] = ["tlsverify", "tlsskipverify", "ssl", "no-analytics", "http-enabled", "no-setup-token"];

/// The command line, as far as it counts.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Port of plain HTTP; absent where it is switched off.
    pub http: Option<u16>,
    /// Port of HTTPS.
    pub https: u16,
    /// `--sslcert`
    pub certificate: Option<String>,
    /// `--sslkey`
    pub key: Option<String>,
    password: Option<String>,
    password_file: Option<String>,
    token: Option<String>,
}

impl Flags {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The server's words.
    pub fn parse(argv: &[String]) -> Result<Flags, String> {
        let mut flags = Flags { http: Some(9000), https: 9443, ..Flags::default() };
        let mut words = argv.iter().skip_while(|word| word.ends_with("portainer"));
        while let Some(word) = words.next() {
            let long = match word.strip_prefix("--") {
                Some(long) => long,
                None if word == "-H" => "host",
                None if word == "-p" => "bind",
                None => return Err(format!("portainer: error: unexpected {word}, try --help")),
            };
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            if SWITCHES.contains(&name) {
                continue;
            }
            if name == "http-disabled" {
                flags.http = None;
                continue;
            }
            let known =
                ["bind", "bind-https", "sslcert", "sslkey", "admin-password", "admin-password-file", "setup-token"];
            if !known.contains(&name) && !OTHERS.contains(&name) {
                return Err(format!("portainer: error: unknown long flag '--{name}', try --help"));
            }
            let Some(value) = value.or_else(|| words.next().cloned()) else {
                return Err(format!("portainer: error: expected argument for flag '--{name}', try --help"));
            };
            let port = || value.rsplit(':').next().and_then(|port| port.parse().ok());
            match name {
                "bind" => flags.http = port(),
                "bind-https" => flags.https = port().unwrap_or(flags.https),
                "sslcert" => flags.certificate = Some(value),
                "sslkey" => flags.key = Some(value),
                "admin-password" => flags.password = Some(value),
                "admin-password-file" => flags.password_file = Some(value),
                "setup-token" => flags.token = Some(value),
                _ => {}
            }
        }
        Ok(flags)
    }

    pub fn ports(&self) -> Vec<u16> {
        self.http.into_iter().chain([self.https]).collect()
    }

    /// Whether a password is given for the first administrator.
    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.password_file.is_some()
    }

    /// The first administrator's password as it is kept. A given hash is taken as it is.
    ///
    /// # Errors
    /// The server's words where the file is not there.
    pub fn password(&self, read: impl FnOnce(&str) -> Result<String, String>) -> Result<Option<String>, String> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => Err("Cannot use --admin-password with --admin-password-file".to_owned()),
            (Some(hash), None) => Ok(Some(hash.clone())),
            (None, Some(path)) => {
                let text = read(path).map_err(|words| format!("failed getting admin password file: {words}"))?;
                Ok(Some(hashed(text.strip_suffix('\n').unwrap_or(&text))))
            }
            (None, None) => Ok(None),
        }
    }

    /// The token that the first administrator is made with.
    pub fn setup_token(&self, container: &str) -> String {
        self.token.clone().unwrap_or_else(|| sha256(format!("setup token {container}").as_bytes()))
    }
}

/// A password as it is kept.
pub(super) fn hashed(password: &str) -> String {
    sha256(format!("portainer {password}").as_bytes())
}
