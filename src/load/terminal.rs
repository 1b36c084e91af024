//! Progress for a person: one line a second, which a terminal overwrites and a file keeps.

use std::io::{IsTerminal, Write};

use super::measure::Progress;
use super::outcome::{LATE_US, Second};

/// Writes progress to standard error, so that the report has standard output for itself.
#[derive(Debug)]
pub struct Terminal {
    is_terminal: bool,
    is_open: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Terminal { is_terminal: std::io::stderr().is_terminal(), is_open: false }
    }
}

impl Terminal {
    /// Shows what goes on.
    pub fn show(&mut self, progress: &Progress<'_>) {
        let mut out = std::io::stderr().lock();
        // A terminal that is gone takes nothing from the run.
        let _ = match progress {
            Progress::Begins(what) => {
                let before = if std::mem::take(&mut self.is_open) { "\n" } else { "" };
                writeln!(out, "{before}{what}")
            }
            Progress::Second(second) if self.is_terminal => {
                self.is_open = true;
                write!(out, "\r\x1b[K{}", line(second)).and_then(|()| out.flush())
            }
            Progress::Second(second) => writeln!(out, "{}", line(second)),
        };
    }

    /// Ends the line that was last.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            eprintln!();
        }
    }
}

/// One second in words.
fn line(second: &Second) -> String {
    let mut line = format!("{:5.0} s  {:>4} up", second.t_us as f64 / 1e6, second.up);
    if second.ringing > 0 {
        line += &format!("  {} ringing", second.ringing);
    }
    if second.failed > 0 {
        line += &format!("  {} FAILED", second.failed);
    }
    line += &format!("  {} packets out, {} in", second.sent, second.received);
    if let Some(cpu_us) = second.cpu_us {
        line += &format!("  {:.0} ms CPU", cpu_us as f64 / 1e3);
    }
    if let Some(kib) = second.rss_kib {
        line += &format!("  {:.1} MiB", kib as f64 / 1024.0);
    }
    if second.lateness_p99_us > LATE_US {
        line += &format!("  DRIVER LATE by {:.1} ms", second.lateness_p99_us as f64 / 1e3);
    }
    line + if second.hold { "  measured" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_one_line_that_says_what_is_wrong() {
        let calm = Second { t_us: 3_200_000, up: 20, hold: true, ..Second::default() };
        let text = line(&calm);
        assert!(text.contains("20 up") && text.ends_with("measured"), "{text}");
        assert!(!text.contains("FAILED") && !text.contains("LATE") && !text.contains("CPU"), "{text}");
        let bad = Second { failed: 2, lateness_p99_us: 9_000, cpu_us: Some(88_000), rss_kib: Some(2048), ..calm };
        let text = line(&bad);
        assert!(text.contains("2 FAILED") && text.contains("LATE by 9.0 ms") && text.contains("88 ms CPU"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
