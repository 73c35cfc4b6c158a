//! `ssh://[user@]host[:port]`.

use std::fmt;
use std::str::FromStr;

/// A node as reached by ssh. What is not named is left to the user's ssh configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who to be there.
    pub user: Option<String>,
    /// Host name, address, or an alias of the ssh configuration.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
}

/// Why a word is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It does not begin with `ssh://`.
    #[error("it does not begin with `ssh://`")]
    Scheme,
    /// The host is missing, or is nothing that a host can be called.
    #[error("`{0}` is no name of a host")]
    Host(String),
    /// The user is nothing that a user can be called.
    #[error("the user's name is none")]
    User,
    /// A password stands in it.
    #[error("it holds a password, which everybody on this machine could read")]
    Password,
    /// The port is none.
    #[error("`{0}` is no port")]
    Port(String),
    /// Something follows the host.
    #[error("nothing may follow the host and its port")]
    Path,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Address, InvalidAddress> {
        let rest = text.strip_prefix("ssh://").ok_or(InvalidAddress::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(InvalidAddress::Path);
        }
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(InvalidAddress::Password);
        }
        if user.is_some_and(|user| !is_name(user, "._-+@")) {
            return Err(InvalidAddress::User);
        }
        let (host, port) = match rest.strip_prefix('[') {
            // An IPv6 address stands in brackets, because of its colons.
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| InvalidAddress::Host(rest.to_owned()))?;
                let port = after.strip_prefix(':');
                if port.is_none() && !after.is_empty() {
                    return Err(InvalidAddress::Port(after.to_owned()));
                }
                (host, port)
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if !is_name(host, if rest.starts_with('[') { ".:%_-" } else { "._-" }) {
            return Err(InvalidAddress::Host(host.to_owned()));
        }
        let number = |port: &str| port.parse().ok().filter(|number| *number != 0);
        let port = port.map(|port| number(port).ok_or_else(|| InvalidAddress::Port(port.to_owned()))).transpose()?;
        Ok(Address { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// Letters, digits and these marks; a dash at the beginning would be an option.
fn is_name(word: &str, marks: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || marks.contains(c);
    !word.is_empty() && !word.starts_with('-') && word.chars().all(fits)
}

impl fmt::Display for Address {
    /// As one would type it after `ssh`, with the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, expected) in [
            ("ssh://pve", "pve"),
            ("ssh://root@pve.example.org/", "root@pve.example.org"),
            ("ssh://root@192.0.2.2:2222", "root@192.0.2.2:2222"),
            ("ssh://anna@corp@pve", "anna@corp@pve"),
            ("ssh://[2001:db8::2]", "2001:db8::2"),
            ("ssh://[fe80::1%vmbr0]:22", "[fe80::1%vmbr0]:22"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        use InvalidAddress::*;
        for (text, expected) in [
            ("sandbox", Scheme),
            ("ssh://", Host(String::new())),
            ("ssh://-oProxyCommand=id", Host("-oProxyCommand=id".to_owned())),
            ("ssh://root@-pve", Host("-pve".to_owned())),
            ("ssh://a b", Host("a b".to_owned())),
            ("ssh://$(id)", Host("$(id)".to_owned())),
            ("ssh://-l@pve", User),
            ("ssh://@pve", User),
            ("ssh://root:secret@pve", Password),
            ("ssh://pve:0", Port("0".to_owned())),
            ("ssh://pve:99999", Port("99999".to_owned())),
            ("ssh://[2001:db8::2]22", Port("22".to_owned())),
            ("ssh://pve/etc", Path),
        ] {
            assert_eq!(shown(text), Err(expected), "{text}");
        }
    }
}
