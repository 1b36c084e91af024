//! Who may do what with the Bayeux server.
//!
//! Agents subscribe to what they like, for each event has its own agent as audience. Whoever is not logged in has, where the
//! listener allows it, a session that shows that the server is there, and sees nothing of `/v2`. Clients publish nothing but
//! service messages.

use crate::bayeux::Caller;
use crate::bayeux::channel::{Channel, Pattern};
use crate::bayeux::server::{Policy, Reach};

/// The rules.
#[derive(Debug)]
pub(super) struct Rules;

impl Policy for Rules {
    /// Whoever is not logged in comes without a cookie where that is allowed, and with an empty one where it is not.
    fn may_handshake(&self, caller: &Caller) -> bool {
        caller.owner.is_some() || caller.cookie.is_none()
    }

    fn may_subscribe(&self, caller: &Caller, pattern: &Pattern) -> bool {
        let first = pattern.trim_start_matches('/').split('/').next().unwrap_or_default();
        caller.owner.is_some() || !matches!(first, "v2" | "*" | "**")
    }

    fn may_publish(&self, caller: &Caller, channel: &Channel) -> Reach {
        if caller.owner.is_some() && channel.is_service() { Reach::Own } else { Reach::Nobody }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Owner;

    fn agent() -> Caller {
        Caller { owner: Some(Owner("anna".into())), cookie: Some("secret".into()) }
    }

    #[test]
    fn who_is_not_logged_in_sees_nothing_of_agents() {
        let may = |caller: &Caller, text: &str| Rules.may_subscribe(caller, &Pattern::parse(text).expect("a pattern"));
        for text in ["/v2/me/calls", "/v2/me/*", "/v2/me/**", "/v2/**", "/v2/*", "/*", "/**", "/v2"] {
            assert!(!may(&Caller::default(), text), "{text}");
            assert!(may(&agent(), text), "{text}");
        }
        assert!(may(&Caller::default(), "/news"));
    }

    #[test]
    fn clients_publish_nothing_but_service_messages_of_agents() {
        let may = |caller: &Caller, text: &str| Rules.may_publish(caller, &Channel::parse(text).expect("a name"));
        assert_eq!(may(&agent(), "/v2/me/calls"), Reach::Nobody);
        assert_eq!(may(&agent(), "/service/x"), Reach::Own);
        assert_eq!(may(&Caller::default(), "/service/x"), Reach::Nobody);
    }

    #[test]
    fn an_empty_cookie_opens_no_session() {
        assert!(Rules.may_handshake(&agent()) && Rules.may_handshake(&Caller::default()));
        assert!(!Rules.may_handshake(&Caller { owner: None, cookie: Some("".into()) }));
    }
}
