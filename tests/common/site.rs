//! The configuration of a gateway that a test starts on ports of its own: one media thread, one trunk, the DNs 5001 to 5999.

use std::net::{Ipv4Addr, SocketAddr};

pub struct Site<'a> {
    pub domain: &'a str,
    /// Of every DN.
    pub password: &'a str,
    /// `[[listener]]` tables.
    pub listeners: &'a str,
    pub sip: SocketAddr,
    pub media: Ipv4Addr,
    /// First and last media port.
    pub ports: (u16, u16),
    /// Further keys of `[media]`.
    pub media_keys: &'a str,
    /// Its name and where it is.
    pub trunk: (&'a str, SocketAddr),
}

impl Site<'_> {
    /// Writes it; `more` is what else there is to say.
    pub fn text(&self, more: &str) -> String {
        let Site { domain, password, listeners, sip, media, ports: (first, last), media_keys, trunk } = self;
        let (name, address) = trunk;
        format!(
            r#"
            [server]
            domain = "{domain}"
            {listeners}
            [[sip]]
            bind = "{sip}"
            [media]
            addresses = [{{ bind = "{media}" }}]
            ports = "{first}-{last}"
            workers = 1
            {media_keys}
            [[trunk]]
            name = "{name}"
            addresses = ["{address}"]
            [[dn]]
            number = "5001-5999"
            secret = "{password}"
            {more}
            "#
        )
    }
}
