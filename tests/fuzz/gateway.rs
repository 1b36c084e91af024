//! What the phone page may say in a call.

use crosspoint::gateway::page::{PageCommand, is_number};
use crosspoint::sip::uri::Uri;

/// One body of an INFO: what is taken is bounded, fits into a URI or a header, and reads the same when written again.
pub fn gateway_page(data: &[u8]) {
    let Ok(command) = PageCommand::parse(data) else { return };
    assert!(data.len() <= 1024);
    match &command {
        PageCommand::Transfer { to } => {
            assert!(is_number(to) && to.len() <= 64);
            let text = format!("sip:{}@192.0.2.81", crosspoint::sip::uri::escape(to));
            let uri = Uri::parse(&text).expect("a number fits into a URI");
            assert_eq!((uri.user_unescaped().as_str(), uri.host), (to.as_str(), "192.0.2.81"));
        }
        PageCommand::Complete { with } | PageCommand::Conference { with } => {
            assert!(with.len() <= 256 && with.bytes().all(|b| b.is_ascii_graphic()));
        }
        PageCommand::Hold | PageCommand::Retrieve => {}
    }
    assert_eq!(PageCommand::parse(command.to_string().as_bytes()), Ok(command));
}
