//! Policy: when a result is believed. Knows votes and doubts; does not know who is connected, nor what a lease is.

use crate::{Answer, Record};
use core::time::Duration;

/// How sure a submitter wants to be, and what may be spent on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assurance {
    /// The product of the voters' doubts at which agreeing votes are believed.
    pub doubt_max: f64,
    /// Agreeing votes of distinct owners that are always needed. Default 1.
    pub votes_min: u8,
    /// Verified results after which a worker's single vote may be believed; no number is enough when infinite.
    pub trusted_after: f64,
    /// Share of a trusted worker's results that get a second vote nevertheless, in thousandths, drawn after it has committed.
    pub check_trusted_permille: u16,
    /// The same for workers not yet trusted; what is not drawn waits until they are.
    pub check_new_permille: u16,
    /// How long a result waits for its workers to become trusted before it gets another vote.
    pub wait: Duration,
    /// How long a believed result is kept back, so that a lie that comes to light takes back what the liar had touched.
    pub settle: Duration,
    /// Share of agreed results that the referee runs again, in thousandths.
    pub referee_permille: u16,
}

impl Assurance {
    /// For work whose results must be right: at most about one wrong result in 100,000.
    pub fn strict() -> Self {
        Assurance {
            doubt_max: 1e-5,
            votes_min: 1,
            trusted_after: 200.0,
            check_trusted_permille: 750,
            check_new_permille: 1000,
            wait: Duration::from_secs(600),
            settle: Duration::from_secs(120),
            referee_permille: 2,
        }
    }

    /// For work that tolerates a wrong result in 1,000: little more than one run for each.
    pub fn cheap() -> Self {
        Assurance {
            doubt_max: 1e-3,
            trusted_after: 40.0,
            check_trusted_permille: 50,
            check_new_permille: 250,
            ..Assurance::strict()
        }
    }

    /// So many agreeing votes of distinct owners, and the answer at once. Two hosts that agree on a lie are found by the referee, in
    /// one result of fifty.
    pub fn replicas(votes: u8) -> Self {
        Assurance {
            doubt_max: 1.0,
            votes_min: votes.max(1),
            trusted_after: 0.0,
            check_trusted_permille: 0,
            check_new_permille: 0,
            wait: Duration::ZERO,
            settle: Duration::ZERO,
            referee_permille: 20,
        }
    }

    /// The chance, in thousandths, that a first vote of this worker gets a second one at once.
    pub fn check_permille(&self, record: &Record) -> u16 {
        if record.evidence() >= self.trusted_after {
            self.check_trusted_permille
        } else {
            self.check_new_permille
        }
    }
}

/// A vote as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ballot {
    /// What the voter says.
    pub answer: Answer,
    /// How likely the voter is wrong.
    pub doubt: f64,
    /// Its verified results.
    pub evidence: f64,
}

/// What the votes come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Too few votes.
    Vote,
    /// Enough votes, not yet enough trust in those who gave them.
    Wait,
    /// This answer is believed, with this much doubt.
    Believe(Answer, f64),
    /// The votes contradict each other: somebody lies.
    Dispute,
}

/// Judges the votes on one task. `checked` says that its first vote was drawn for a second one.
pub fn judge(ballots: &[Ballot], checked: bool, assurance: &Assurance) -> Verdict {
    let Some(first) = ballots.first() else { return Verdict::Vote };
    if ballots.iter().any(|ballot| ballot.answer != first.answer) {
        return Verdict::Dispute;
    }
    let needed = assurance.votes_min.max(if checked { 2 } else { 1 });
    if ballots.len() < usize::from(needed) {
        return Verdict::Vote;
    }
    let doubt = ballots.iter().map(|ballot| ballot.doubt).product();
    let trusted =
        ballots.iter().any(|ballot| ballot.doubt < 1.0 && ballot.evidence >= assurance.trusted_after);
    if doubt <= assurance.doubt_max || trusted {
        Verdict::Believe(first.answer, doubt)
    } else {
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(answer: u8, evidence: u32) -> Ballot {
        let mut record = Record::default();
        (0..evidence).for_each(|_| record.verified(1.0));
        let answer = Answer { digest: [answer; 32], gas: 1 };
        Ballot { answer, doubt: record.doubt(0.2), evidence: record.evidence() }
    }

    #[test]
    fn strangers_that_agree_wait_until_they_are_known() {
        let strict = Assurance { trusted_after: f64::INFINITY, ..Assurance::strict() };
        assert_eq!(judge(&[], true, &strict), Verdict::Vote);
        assert_eq!(judge(&[ballot(1, 50)], true, &strict), Verdict::Vote);
        assert_eq!(judge(&[ballot(1, 2), ballot(1, 2)], true, &strict), Verdict::Wait);
        assert!(matches!(judge(&[ballot(1, 30), ballot(1, 30)], true, &strict), Verdict::Believe(..)));
        assert!(matches!(
            judge(&[ballot(1, 5), ballot(1, 5), ballot(1, 5)], true, &strict),
            Verdict::Believe(..)
        ));
    }

    #[test]
    fn equal_outputs_with_unequal_gas_are_a_dispute() {
        let (a, mut b) = (ballot(1, 50), ballot(1, 50));
        b.answer.gas += 1;
        assert_eq!(judge(&[a, b], true, &Assurance::strict()), Verdict::Dispute);
        assert_eq!(judge(&[a, ballot(2, 50)], true, &Assurance::replicas(1)), Verdict::Dispute);
    }

    #[test]
    fn a_known_worker_alone_is_believed_unless_its_result_was_drawn() {
        let cheap = Assurance::cheap();
        assert!(matches!(judge(&[ballot(1, 50)], false, &cheap), Verdict::Believe(..)));
        assert_eq!(judge(&[ballot(1, 50)], true, &cheap), Verdict::Vote);
        assert_eq!(judge(&[ballot(1, 5)], false, &cheap), Verdict::Wait);
    }

    #[test]
    fn replicas_are_counted_whoever_gives_them() {
        let three = Assurance::replicas(3);
        assert_eq!(judge(&[ballot(1, 0), ballot(1, 0)], false, &three), Verdict::Vote);
        assert!(matches!(
            judge(&[ballot(1, 0), ballot(1, 0), ballot(1, 0)], false, &three),
            Verdict::Believe(..)
        ));
    }
}
