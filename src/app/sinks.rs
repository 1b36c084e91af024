//! The outbox with its sinks, and the subscriptions at each GWS: started before the first call, ended after the last.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{StartError, compose};
use crate::config::Config;
use crate::io::desk;
use crate::io::sink::{self, Outbox, SinkError, SinkTally, Sinks, Told};

/// How long the sinks have to be told of the last calls' ends; what is left waits on the disk.
const GRACE: Duration = Duration::from_secs(1);

/// How often a desk is asked whether it still publishes, and how many times at the most.
const LOOKS: (Duration, u32) = (Duration::from_millis(20), 20);

/// Waits until the desk has taken what signalling said last: each call's end.
pub(super) async fn quiet(desk: &desk::Handle) {
    let (pause, most) = LOOKS;
    let mut before = None;
    for _ in 0..most {
        let Ok(figures) = desk.figures().await else { return };
        if before.replace(figures.counts.published) == Some(figures.counts.published) {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// What of the agents' side leads outwards.
pub(super) struct Outward {
    /// Where events go; `None`: nobody wants them, or it has been taken.
    outbox: Option<Outbox>,
    /// What each GWS says of calls; `None`: nobody is asked, or it has been taken.
    told: Option<mpsc::Receiver<Told>>,
    sinks: Option<Sinks>,
    /// The subscriptions; they end with this.
    _gws: JoinSet<()>,
}

impl Outward {
    pub(super) fn start(config: &Config, state: &Path) -> Result<Outward, StartError> {
        let (outbox, sinks) =
            compose::sinks(config, state).map(|config| journal(&config)).transpose()?.flatten().unzip();
        let gws = compose::subscriptions(config);
        let (gws, told) = sink::subscribe(&gws)?;
        let told = (!gws.is_empty()).then_some(told);
        Ok(Outward { outbox, told, sinks, _gws: gws })
    }

    /// Makes the desk's links to the sinks and to each GWS, with what the last run left.
    pub(super) fn links(&mut self) -> desk::Links {
        let released = self.sinks.as_mut().map(Sinks::take_released).unwrap_or_default();
        desk::Links { signalling: None, outbox: self.outbox.take(), told: self.told.take(), released }
    }

    /// Returns the figures of the sinks.
    pub(super) fn tally(&self) -> Option<Arc<SinkTally>> {
        self.sinks.as_ref().map(Sinks::tally)
    }

    /// Ends all. Whoever hands events over must have ended.
    pub(super) async fn finish(&mut self) {
        if let Some(sinks) = self.sinks.take() {
            sinks.finish(GRACE).await;
        }
    }
}

/// Starts the outbox. A folder that cannot be written to is no reason not to start where no sink asks for it.
fn journal(config: &sink::Config) -> Result<Option<(Outbox, Sinks)>, SinkError> {
    match sink::spawn(config) {
        Ok(started) => Ok(Some(started)),
        Err(error @ SinkError::Folder { .. }) if config.sinks.is_empty() => {
            tracing::warn!(%error, "no journal: desktops will not hear of calls that a restart ends");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Says why [`Outward::start`] would refuse, as far as that is known without making anything.
pub(super) fn check(config: &Config, state: &Path) -> Result<(), StartError> {
    Ok(sink::check(compose::sinks(config, state).as_ref(), &compose::subscriptions(config))?)
}
