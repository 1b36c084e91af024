//! Carries out what `crosspoint load` was told to do.

use std::fs;
use std::path::Path;

use super::arguments::{LoadArguments, Output, Task};
use super::measure::{Request, measure};
use super::report::{LoadReport, Subject, compare, page, table};
use super::terminal::Terminal;
use super::{LoadError, child, engine, peer, process};

/// Does all of it; what is for the reader goes to standard output. Fails too where the runs were made and calls came to nothing
/// or had the wrong sound.
///
/// The calling thread is pinned to the driver's core, where there is one, and with it the runtime that is made here.
pub fn carry_out(arguments: LoadArguments, command: String) -> Result<(), LoadError> {
    match arguments.task(command)? {
        Task::BeFloor { first, calls, settings } => child::be_floor(first, calls, settings),
        Task::ListProfiles => {
            print!("{}", peer::list());
            Ok(())
        }
        Task::Compare([a, b]) => {
            print!("{}", compare(&LoadReport::read(&a)?, &LoadReport::read(&b)?));
            Ok(())
        }
        Task::Show(file, output) => tell(&LoadReport::read(&file)?, &output),
        Task::Measure(request, output) => {
            let report = run(&request)?;
            tell(&report, &output)?;
            problems(&report).map_or(Ok(()), |what| Err(LoadError::Unsound(what)))
        }
    }
}

fn run(request: &Request) -> Result<LoadReport, LoadError> {
    if let Some(core) = request.plan.driver_core {
        process::pin_thread(core)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut terminal = Terminal::default();
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(request, engine::drive, |progress| terminal.show(&progress)) => report,
            _ = tokio::signal::ctrl_c() => Err(LoadError::Stopped),
        }
    });
    terminal.end();
    runtime.shutdown_background();
    report
}

fn tell(report: &LoadReport, output: &Output) -> Result<(), LoadError> {
    print!("{}", table(report));
    if let Some(file) = &output.json {
        report.write(file)?;
    }
    if let Some(file) = &output.html {
        write(file, &page(report))?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), LoadError> {
    fs::write(file, text).map_err(|error| LoadError::File { file: file.to_owned(), reason: error.to_string() })
}

/// What went wrong in the server's runs; `None`: nothing.
fn problems(report: &LoadReport) -> Option<String> {
    let all = || report.runs.iter().filter(|run| run.subject == Subject::Target).map(|run| &run.figures);
    let failed: u32 = all().map(|figures| figures.failed()).sum();
    let unsound: u32 = all().map(|figures| figures.audio_bad()).sum();
    let mut said = Vec::new();
    if failed > 0 {
        said.push(format!("{failed} calls failed"));
    }
    if unsound > 0 {
        said.push(format!("{unsound} directions of calls had the wrong sound, or none"));
    }
    // A run without any sound has shown nothing.
    let spoke = report.runs.iter().any(|run| run.subject == Subject::Target && run.speaking > 0);
    let heard =
        all().any(|figures| figures.to_trunk.calls() + figures.to_browser.calls() + figures.witnesses.calls() > 0);
    if spoke && !heard {
        said.push("no call had any sound to check".to_owned());
    }
    (!said.is_empty()).then(|| said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{Figures, Measured, WayFigures};

    fn report(to_trunk: WayFigures) -> LoadReport {
        let figures = Figures { to_trunk, ..Figures::default() };
        LoadReport { runs: vec![Measured { speaking: 3, figures, ..Measured::default() }], ..LoadReport::default() }
    }

    #[test]
    fn calls_without_their_sound_are_a_problem_and_so_is_a_run_without_any() {
        let way = |audio_good, audio_bad| WayFigures { audio_good, audio_bad, ..WayFigures::default() };
        assert_eq!(problems(&report(way(3, 0))), None);
        assert_eq!(problems(&report(way(2, 1))).as_deref(), Some("1 directions of calls had the wrong sound, or none"));
        assert_eq!(problems(&report(way(0, 0))).as_deref(), Some("no call had any sound to check"));
        let mut silent = report(way(0, 0));
        silent.runs[0].speaking = 0;
        assert_eq!(problems(&silent), None);
        silent.runs[0].figures.failures.insert("486 Busy Here".into(), 2);
        assert_eq!(problems(&silent).as_deref(), Some("2 calls failed"));
    }
}
