//! The ICE-lite agent (RFC 8445, RFC 7675).
