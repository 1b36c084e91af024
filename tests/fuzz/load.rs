//! What a peer of the load generator may say.

use crosspoint::load::peer::bencode::Value;

/// One value of the ng protocol: what is read is written the same and read again.
pub fn bencode(data: &[u8]) {
    let Some(value) = Value::parse(data) else { return };
    let mut written = Vec::new();
    value.write(&mut written);
    assert_eq!(Value::parse(&written), Some(value));
}
