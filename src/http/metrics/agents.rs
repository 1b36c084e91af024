//! The agents' side in figures.

use super::Page;
use crate::io::desk::Figures;

/// Writes the levels and counts of the agents' side.
pub(super) fn write(page: &mut Page, figures: &Figures) {
    page.level("cometd_sessions", "CometD sessions at present", figures.sessions);
    page.level("cometd_websockets", "WebSockets of CometD at present", figures.sockets);
    page.level("cometd_held", "CometD requests that wait for an event", figures.held);
    page.level("logins", "Logins of agents at present", figures.logins);
    page.level("desk_waiting", "Messages that wait for the agents' side", figures.waiting);
    let c = &figures.counts;
    let counts = [
        ("requests", c.requests),
        ("published", c.published),
        ("bodies", c.bodies),
        ("services", c.services),
        ("operations", c.operations),
        ("commands_dropped", c.commands_dropped),
    ];
    let of = |name: &str, value| (vec![("what", name.to_owned())], value);
    page.counter("desk", "What the agents' side did", counts.map(|(name, value)| of(name, value)));
    let ended = [
        ("disconnected", c.disconnected),
        ("silent", c.silent),
        ("queue_full", c.queue_full),
        ("logged_out", c.logged_out),
    ];
    let of = |name: &str, value| (vec![("why", name.to_owned())], value);
    page.counter("cometd_ended", "CometD sessions that have ended", ended.map(|(name, value)| of(name, value)));
}
