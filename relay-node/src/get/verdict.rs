//! When `get` says that it will not come: as soon as that is known, and in which words.

use super::GetError;
use crate::peer::Probe;
use std::time::Duration;

/// The tracker introduces at once whoever it knows, so a relay that has nothing, or only what is wrong, is waited on no longer than a
/// slow round trip takes: from its welcome, or from its first answer when it does not welcome.
const MEETING: Duration = Duration::from_millis(1500);
/// A relay that speaks WebSocket and does not welcome within this time hardly answers.
const WELCOME_PATIENCE: Duration = Duration::from_secs(3);
/// A relay that gave the manifest and then nothing for so long drips.
const DRIP_PATIENCE: Duration = Duration::from_secs(8);

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// Since the relay accepted this peer.
    pub ready_for: Option<Duration>,
    /// Why the relay did not.
    pub refused: Option<String>,
    /// What the relay answered when it was first asked.
    pub probe: Option<Probe>,
    /// Since it did.
    pub probed_for: Option<Duration>,
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
        let within = |since: Option<Duration>, most| since.is_some_and(|since| since >= most);
        let met = within(self.ready_for, MEETING);
        let waited = met || within(self.probed_for, MEETING) && self.ready_for.is_none();
        let refused = |why: &String| {
            let why = self.refused.as_ref().unwrap_or(why).clone();
            GetError::Refused { relay: relay(), why }
        };
        match self.probe.as_ref()? {
            Probe::Has => None,
            Probe::Unreachable(why) => Some(GetError::Unreachable { relay: relay(), why: why.clone() }),
            Probe::NoRelay(why) => Some(GetError::NoRelay { relay: relay(), why: why.clone() }),
            Probe::Uncertified(why) => Some(GetError::Uncertified { relay: relay(), why: why.clone() }),
            Probe::Silent => self.ready_for.is_none().then(|| GetError::Silent { relay: relay() }),
            Probe::Lied => (alone && waited).then(|| GetError::Untrusted { relay: relay() }),
            Probe::Refused(why) => (alone && waited).then(|| refused(why)),
            Probe::Absent if alone && waited => Some(match &self.refused {
                Some(why) => refused(why),
                None => GetError::Unknown { relay: relay() },
            }),
            // Asked over the tracker only.
            Probe::Reached if alone && met => Some(GetError::Unknown { relay: relay() }),
            Probe::Reached if alone && waited => match &self.refused {
                Some(why) => Some(refused(why)),
                None => {
                    within(self.probed_for, WELCOME_PATIENCE).then(|| GetError::Silent { relay: relay() })
                }
            },
            Probe::Absent | Probe::Reached => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So long after the first answer; without any byte, and without a welcome.
    fn signs(probed_ms: u64, probe: Probe) -> Signs {
        let probed_for = Duration::from_millis(probed_ms);
        Signs {
            probed_for: Some(probed_for),
            without_progress: probed_for,
            probe: Some(probe),
            ..Signs::default()
        }
    }

    fn code(signs: &Signs) -> Option<u8> {
        signs.verdict("relay").map(|error| error.exit_code())
    }

    #[test]
    fn what_cannot_come_is_told_within_two_seconds_of_the_first_answer() {
        for probe in [
            Probe::Unreachable("refused".into()),
            Probe::NoRelay("no HTTP".into()),
            Probe::Uncertified("expired".into()),
            Probe::Silent,
        ] {
            assert_eq!(code(&signs(0, probe)), Some(6));
        }
        for (probe, expected) in [(Probe::Absent, 3), (Probe::Lied, 4), (Probe::Refused("403".into()), 7)] {
            assert_eq!(code(&signs(1400, probe.clone())), None);
            assert_eq!(code(&signs(1500, probe.clone())), Some(expected));
            let ready =
                |ms| Signs { ready_for: Some(Duration::from_millis(ms)), ..signs(1600, probe.clone()) };
            assert_eq!(code(&ready(1400)), None, "who was welcomed late is given time to be introduced");
            assert_eq!(code(&ready(1500)), Some(expected));
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
    fn without_http_the_tracker_tells() {
        let ready = |ms| Signs { ready_for: Some(Duration::from_millis(ms)), ..signs(6000, Probe::Reached) };
        assert_eq!(code(&ready(1400)), None);
        assert_eq!(code(&ready(1500)), Some(3));
        assert_eq!(code(&signs(2900, Probe::Reached)), None);
        assert_eq!(code(&signs(3000, Probe::Reached)), Some(6));
        let refused = Signs { refused: Some("too many".into()), ..signs(1500, Probe::Reached) };
        assert_eq!(code(&refused), Some(7));
    }
}
