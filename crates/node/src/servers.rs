//! What is remembered of HTTP servers beyond one content: who was late, and who gave wrong bytes.

use core::time::Duration;
use peeredge_wire::{ContentId, Time};

/// A site's server was late: others of its contents are asked of the relay first, for so long; doubled each time.
const LATE_REST_FIRST: Duration = Duration::from_secs(10);
const LATE_REST_MAX: Duration = Duration::from_secs(160);
/// Wrong bytes of so many contents within this time are no file that was replaced: the server is not asked for any content.
const LIES_MAX: usize = 3;
const LIES_WITHIN: Duration = Duration::from_secs(600);
/// For so long; doubled each time, until it has behaved for as long as the longest rest.
const LIED_REST_FIRST: Duration = Duration::from_secs(120);
const LIED_REST_MAX: Duration = Duration::from_secs(3600);
/// Servers that are remembered; the oldest makes room.
const SERVERS_MAX: usize = 32;

/// One HTTP server, whatever it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Relay,
    /// One of the site's, by the shell's number.
    Site(u32),
}

#[derive(Debug)]
struct Record {
    host: Host,
    late_until: Time,
    late_rest: Duration,
    /// The last contents of which it gave wrong bytes, and when.
    lies: Vec<(Time, ContentId)>,
    lied_until: Time,
    lied_rest: Duration,
}

/// All servers of which there is something to remember.
#[derive(Debug, Default)]
pub(crate) struct Servers(Vec<Record>);

impl Servers {
    fn of(&self, host: Host) -> Option<&Record> {
        self.0.iter().find(|record| record.host == host)
    }

    fn of_mut(&mut self, host: Host) -> &mut Record {
        let at = self.0.iter().position(|record| record.host == host).unwrap_or_else(|| {
            if self.0.len() == SERVERS_MAX {
                self.0.remove(0);
            }
            let (late_rest, lied_rest) = (LATE_REST_FIRST, LIED_REST_FIRST);
            let (late_until, lied_until) = (Time::ZERO, Time::ZERO);
            self.0.push(Record { host, late_until, late_rest, lies: Vec::new(), lied_until, lied_rest });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Whether it was late for another content just now.
    pub(crate) fn is_late(&self, now: Time, host: Host) -> bool {
        self.of(host).is_some_and(|record| record.late_until > now)
    }

    pub(crate) fn was_late(&mut self, now: Time, host: Host) {
        let record = self.of_mut(host);
        if record.late_until <= now {
            record.late_until = now + record.late_rest;
            record.late_rest = (record.late_rest * 2).min(LATE_REST_MAX);
        }
    }

    pub(crate) fn was_well(&mut self, now: Time, host: Host) {
        if let Some(record) = self.0.iter_mut().find(|record| record.host == host)
            && record.late_until <= now
        {
            record.late_rest = LATE_REST_FIRST;
        }
    }

    /// Whether it gave so many wrong bytes of late that it is asked for nothing.
    pub(crate) fn is_shunned(&self, now: Time, host: Host) -> bool {
        self.of(host).is_some_and(|record| record.lied_until > now)
    }

    /// It gave bytes of this content that contradict the link.
    pub(crate) fn lied(&mut self, now: Time, host: Host, content: ContentId) {
        let record = self.of_mut(host);
        record.lies.retain(|(at, of)| now.since(*at) <= LIES_WITHIN && *of != content);
        record.lies.push((now, content));
        // What was under way when it began to rest is no new lie.
        if record.lies.len() < LIES_MAX || record.lied_until > now {
            record.lies.truncate(LIES_MAX);
            return;
        }
        // The next one behind the rest is enough while the others are not forgotten.
        record.lies.remove(0);
        if now.since(record.lied_until) > LIED_REST_MAX {
            record.lied_rest = LIED_REST_FIRST;
        }
        record.lied_until = now + record.lied_rest;
        record.lied_rest = (record.lied_rest * 2).min(LIED_REST_MAX);
    }
}
