//! When `get` says that it will not come: as soon as that is known, and in which words.

use super::GetError;
use crate::peer::Probe;
use std::time::Duration;

/// Nothing that the relay says, or only what is wrong, is waited on so long for peers to be introduced.
const MEETING: Duration = Duration::from_millis(1500);
/// A relay that lists nothing and brings nobody together within this time does not.
const RELAY_PATIENCE: Duration = Duration::from_secs(3);
/// A relay that gave the manifest and then nothing for so long drips.
const DRIP_PATIENCE: Duration = Duration::from_secs(8);
/// Without HTTP nobody but the relay's tracker knows who holds a content; holders come and go.
const PEERS_PATIENCE: Duration = Duration::from_secs(5);

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// Since the beginning.
    pub elapsed: Duration,
    /// Since the relay accepted this peer.
    pub ready_for: Option<Duration>,
    /// Why the relay did not.
    pub refused: Option<String>,
    /// What the relay answered by HTTP.
    pub probe: Option<Probe>,
    /// Other peers that it introduced.
    pub peers: usize,
    /// Whether the manifest is known.
    pub begun: bool,
    /// Whether any verified byte has come.
    pub arrived: bool,
    /// Since the last verified byte came, or the beginning.
    pub without_progress: Duration,
    /// Bytes that failed verification.
    pub rejected_bytes: u64,
}

impl Signs {
    /// The verdict, once there is one. `relay` is its name.
    pub(super) fn verdict(&self, relay: &str) -> Option<GetError> {
        let relay = || relay.to_owned();
        let alone = self.peers == 0;
        if alone && self.rejected_bytes > 0 && self.without_progress >= MEETING {
            return Some(GetError::Untrusted { relay: relay() });
        }
        if self.begun {
            let hardly = alone && !self.arrived && self.without_progress >= DRIP_PATIENCE;
            return hardly.then(|| GetError::Silent { relay: relay() });
        }
        let met = self.ready_for.is_some_and(|ready| ready >= MEETING);
        let waited = met || self.elapsed >= RELAY_PATIENCE;
        match &self.probe {
            Some(Probe::Unreachable(why)) => Some(GetError::Unreachable { relay: relay(), why: why.clone() }),
            Some(Probe::NoRelay(why)) => Some(GetError::NoRelay { relay: relay(), why: why.clone() }),
            Some(Probe::Silent) if self.ready_for.is_none() => Some(GetError::Silent { relay: relay() }),
            Some(Probe::Lied) if alone && waited => Some(GetError::Untrusted { relay: relay() }),
            Some(Probe::Absent) if alone && waited => match &self.refused {
                Some(why) => Some(GetError::Refused { relay: relay(), why: why.clone() }),
                None => Some(GetError::Unknown { relay: relay() }),
            },
            Some(Probe::Refused(why)) if alone && waited => {
                let why = self.refused.as_ref().unwrap_or(why);
                Some(GetError::Refused { relay: relay(), why: why.clone() })
            }
            // Asked over the tracker only.
            Some(Probe::Reached) if alone => match (&self.refused, self.ready_for) {
                (Some(why), None) if self.elapsed >= MEETING => {
                    Some(GetError::Refused { relay: relay(), why: why.clone() })
                }
                (_, Some(ready)) if ready >= PEERS_PATIENCE => Some(GetError::Unknown { relay: relay() }),
                (_, None) if self.elapsed >= PEERS_PATIENCE => Some(GetError::Silent { relay: relay() }),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(elapsed_ms: u64, probe: Probe) -> Signs {
        let elapsed = Duration::from_millis(elapsed_ms);
        Signs { elapsed, without_progress: elapsed, probe: Some(probe), ..Signs::default() }
    }

    fn code(signs: &Signs) -> Option<u8> {
        signs.verdict("relay").map(|error| error.exit_code())
    }

    #[test]
    fn what_cannot_come_is_told_within_seconds() {
        assert_eq!(code(&signs(100, Probe::Unreachable("refused".into()))), Some(6));
        assert_eq!(code(&signs(100, Probe::NoRelay("no HTTP".into()))), Some(6));
        assert_eq!(code(&signs(5000, Probe::Silent)), Some(6));
        for (probe, expected) in [(Probe::Absent, 3), (Probe::Lied, 4), (Probe::Refused("403".into()), 7)] {
            assert_eq!(code(&signs(3000, probe.clone())), Some(expected));
            let ready = Signs { ready_for: Some(MEETING), ..signs(1600, probe) };
            assert_eq!(code(&ready), Some(expected));
        }
    }

    #[test]
    fn a_peer_that_was_introduced_is_waited_for() {
        for probe in [Probe::Absent, Probe::Lied, Probe::Refused("403".into()), Probe::Reached] {
            assert_eq!(code(&Signs { peers: 1, ..signs(20_000, probe) }), None);
        }
    }

    #[test]
    fn what_has_begun_goes_on_unless_all_of_it_is_wrong() {
        let begun = Signs { begun: true, arrived: true, ..signs(9000, Probe::Unreachable("gone".into())) };
        assert_eq!(code(&begun), None);
        assert_eq!(code(&Signs { arrived: false, ..begun.clone() }), Some(6));
        assert_eq!(code(&Signs { arrived: false, peers: 1, ..begun.clone() }), None);
        assert_eq!(code(&Signs { rejected_bytes: 1, ..begun.clone() }), Some(4));
        assert_eq!(code(&Signs { rejected_bytes: 1, peers: 1, ..begun }), None);
    }

    #[test]
    fn without_http_the_tracker_is_given_time() {
        let ready = |ms| Signs { ready_for: Some(Duration::from_millis(ms)), ..signs(6000, Probe::Reached) };
        assert_eq!(code(&ready(4000)), None);
        assert_eq!(code(&ready(5000)), Some(3));
        assert_eq!(code(&signs(5000, Probe::Reached)), Some(6));
        let refused = Signs { refused: Some("too many".into()), ..signs(1500, Probe::Reached) };
        assert_eq!(code(&refused), Some(7));
    }
}
