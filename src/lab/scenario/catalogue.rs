//! Every scenario and every shape, as they were written into the program.

/// Makes a table of files and a function that finds one of them.
macro_rules! files {
    ($(#[$doc:meta])* $table:ident: $folder:literal, $end:literal, [$($name:literal,)*]) => {
        $(#[$doc])*
        const $table: &[(&str, &str)] = &[$(($name, include_str!(concat!($folder, "/", $name, $end))),)*];
    };
}

files! {
    /// In the order of the list.
    SCRIPTS: "scripts", ".scn", [
        "inbound",
        "inbound-routed",
        "agent-hangs-up",
        "dialled",
        "cancelled",
        "answer-crosses-cancel",
        "forked-early-media",
        "redirected",
        "redirect-refused",
        "notify-talk",
        "notify-repeated",
        "deferred",
        "nailed",
        "hold-talk",
        "hold-music",
        "agent-holds",
        "held-by-server",
        "click-to-dial",
        "click-to-dial-refused",
        "click-to-dial-timeout",
        "make-call-refer",
        "reinvite-offerless",
        "reinvite-refused",
        "transfer-3pcc",
        "refer-from-server",
        "refer-fails",
        "replaces",
        "blind-transfer",
        "blind-transfer-refused",
        "blind-transfer-refer",
        "attended-transfer",
        "conference",
        "keys",
        "info-message",
        "session-refresh",
        "options",
        "ping",
        "register",
        "register-digest",
        "register-foreign-realm",
        "register-unknown",
        "pool",
        "failover",
        "continuity",
        "virtual-address",
    ]
}

files! {
    /// What others include.
    PARTS: "scripts", ".scn", [
        "answered",
        "consulted",
    ]
}

files! {
    /// Messages and bodies.
    SHAPES: "shapes", ".sip", [
        "accepted",
        "ack",
        "ack-in-call",
        "ack-refusal",
        "ack-sdp",
        "busy",
        "bye",
        "bye-reason",
        "bye-taken",
        "cancel",
        "challenge",
        "dtmf",
        "dtmf-relay",
        "frag-ok",
        "frag-trying",
        "gone",
        "info",
        "invite",
        "invite-offerless",
        "invite-replaces",
        "invite-routed",
        "invite-timed",
        "message",
        "moved",
        "notify",
        "notify-refer",
        "ok",
        "ok-invite",
        "ok-register",
        "ok-sdp",
        "ok-timed",
        "options",
        "options-in-call",
        "picture",
        "progress",
        "progress-fork",
        "refer",
        "refer-outside",
        "reinvite",
        "reinvite-offerless",
        "ringing",
        "sdp-answer",
        "sdp-back",
        "sdp-black-hole",
        "sdp-foreign",
        "sdp-full",
        "sdp-hold",
        "sdp-hold-zero",
        "sdp-other",
        "text",
        "trying",
        "unknown",
        "update",
    ]
}

fn find(table: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// Returns the names of all scenarios.
pub fn names() -> Vec<&'static str> {
    SCRIPTS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn script(name: &str) -> Option<&'static str> {
    find(SCRIPTS, name).or_else(|| find(PARTS, name))
}

pub(super) fn shape(name: &str) -> Option<&'static str> {
    find(SHAPES, name)
}
