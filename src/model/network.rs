//! Addresses and network interfaces of guests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address with its prefix length, as in `192.0.2.10/24`. The host part may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The address itself.
    pub address: IpAddr,
    /// Leading bits that name the network: 0 to 32 (IPv4) or 128 (IPv6).
    pub prefix: u8,
}

/// Text that is no `ADDRESS/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address with prefix length: expected something like 192.0.2.10/24")]
pub struct InvalidAddress(pub String);

impl Cidr {
    /// Whether `address` lies inside this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(a) & mask == u32::from(b) & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(a) & mask == u128::from(b) & mask
            }
            _ => false,
        }
    }

    /// The network itself, host part cleared: `192.0.2.10/24` gives `192.0.2.0/24`.
    pub fn network(&self) -> Cidr {
        let address = match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((u128::from(a) & mask).into())
            }
        };
        Cidr { address, prefix: self.prefix }
    }

    /// The last address of the network: `192.0.2.10/24` gives `192.0.2.255`.
    pub fn last(&self) -> IpAddr {
        match self.network().address {
            IpAddr::V4(first) => {
                let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4((u32::from(first) | hosts).into())
            }
            IpAddr::V6(first) => {
                let hosts = u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((u128::from(first) | hosts).into())
            }
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidAddress(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix > most { Err(invalid()) } else { Ok(Cidr { address, prefix }) }
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Where a network interface gets its address from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// Asked for by DHCP.
    Dhcp,
    /// Left to the guest.
    Manual,
    /// Declared.
    Static(Cidr),
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "dhcp" => Ok(Address::Dhcp),
            "manual" => Ok(Address::Manual),
            _ => text.parse().map(Address::Static),
        }
    }
}

impl Address {
    /// The declared address, if it is declared.
    pub fn cidr(&self) -> Option<Cidr> {
        match self {
            Address::Static(cidr) => Some(*cidr),
            Address::Dhcp | Address::Manual => None,
        }
    }
}

/// Where the IPv6 address of a network interface comes from, beside its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address6 {
    /// Told by the router (SLAAC).
    Auto,
    /// Asked for by DHCP.
    Dhcp,
    /// Left to the guest.
    Manual,
    /// Declared.
    Static(Cidr),
}

impl FromStr for Address6 {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Address6::Auto),
            "dhcp" => Ok(Address6::Dhcp),
            "manual" => Ok(Address6::Manual),
            _ => match text.parse::<Cidr>() {
                Ok(cidr) if cidr.address.is_ipv6() => Ok(Address6::Static(cidr)),
                _ => Err(InvalidAddress(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Address6 {
    /// As Proxmox writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address6::Auto => f.write_str("auto"),
            Address6::Dhcp => f.write_str("dhcp"),
            Address6::Manual => f.write_str("manual"),
            Address6::Static(cidr) => cidr.fmt(f),
        }
    }
}

/// A unicast MAC address, kept in upper case as Proxmox prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

/// Text that is no unicast MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no unicast MAC address: expected six hexadecimal pairs like BC:24:11:00:00:01, the first one even")]
pub struct InvalidMac(pub String);

impl FromStr for MacAddress {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMac(text.to_owned());
        let mut octets = [0u8; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(invalid)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() || octets[0] & 1 == 1 { Err(invalid()) } else { Ok(MacAddress(octets)) }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> String {
        mac.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// One network interface of a guest (`netN`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Name inside a container, e.g. `eth0`; unused for virtual machines.
    pub name: String,
    /// Bridge of the node, e.g. `vmbr0`.
    pub bridge: String,
    /// The guest's address on it.
    pub address: Address,
    /// Default gateway.
    pub gateway: Option<IpAddr>,
    /// An IPv6 address beside it; absent: left alone.
    pub address6: Option<Address6>,
    /// Default gateway for IPv6, beside `gateway`.
    pub gateway6: Option<std::net::Ipv6Addr>,
    /// Emulated hardware of a virtual machine (`virtio`, `e1000`); absent: what is there, else `virtio`.
    pub model: Option<String>,
    /// Hardware address; absent: the one Proxmox generated is kept.
    pub mac: Option<MacAddress>,
    /// VLAN tag, 1 to 4094.
    pub vlan: Option<u16>,
    /// Whether Proxmox filters this interface (`firewall=1`).
    pub firewall: bool,
    /// Largest packet in bytes; absent: left alone.
    pub mtu: Option<u32>,
    /// Most it sends and receives in MB/s, a decimal number as Proxmox writes it (`12.5`); absent: left alone.
    pub rate: Option<String>,
}

impl Nic {
    /// An interface of which only this is declared.
    pub fn new(name: impl Into<String>, bridge: impl Into<String>, address: Address) -> Nic {
        Nic {
            name: name.into(),
            bridge: bridge.into(),
            address,
            gateway: None,
            address6: None,
            gateway6: None,
            model: None,
            mac: None,
            vlan: None,
            firewall: false,
            mtu: None,
            rate: None,
        }
    }
}
