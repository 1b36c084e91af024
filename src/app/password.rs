//! Reads a password at the terminal, and hashes it for `[[agent]]`.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::desk::PasswordHash;

/// Longest password, bytes.
const MAX: usize = 1024;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The input cannot be read.
    #[error("the password cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Nothing was typed.
    #[error("the password is empty")]
    Empty,
    /// Too much was typed.
    #[error("the password is longer than 1024 bytes")]
    TooLong,
    /// It was typed another way the second time.
    #[error("the passwords are not the same")]
    Different,
}

/// Reads a password, twice and unseen where a person types it, else the first line of the input; returns its hash as a PHC
/// string.
pub fn hash_password() -> Result<String, PasswordError> {
    let input = io::stdin();
    let password = if input.is_terminal() {
        let unseen = Unseen::begin()?;
        let first = ask("Password: ")?;
        let second = ask("Again: ")?;
        drop(unseen);
        if first != second {
            return Err(PasswordError::Different);
        }
        first
    } else {
        line(&mut input.lock())?
    };
    hash(&password)
}

fn hash(password: &str) -> Result<String, PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=MAX => Ok(PasswordHash::make(password, rand::random()).as_str().to_owned()),
        _ => Err(PasswordError::TooLong),
    }
}

fn ask(what: &str) -> io::Result<String> {
    let mut terminal = io::stderr();
    write!(terminal, "{what}")?;
    terminal.flush()?;
    let typed = line(&mut io::stdin().lock());
    writeln!(terminal)?;
    typed
}

/// Reads one line, as far as it may be one.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    io::Read::take(input, MAX as u64 + 2).read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is typed is not shown while it lasts.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Unseen> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Unseen(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_password_without_its_end() {
        for text in ["secret", "secret\n", "secret\r\n", "secret\nmore\n"] {
            assert_eq!(line(&mut text.as_bytes()).unwrap(), "secret");
        }
    }

    #[test]
    fn the_hash_is_one_that_a_configuration_takes() {
        let made = hash("correct horse").unwrap();
        assert!(PasswordHash::parse(&made).is_some_and(|hash| hash.verify("correct horse")));
        assert_ne!(hash("correct horse").unwrap(), made);
        assert!(matches!(hash(""), Err(PasswordError::Empty)));
        assert!(matches!(hash(&"x".repeat(1025)), Err(PasswordError::TooLong)));
    }
}
