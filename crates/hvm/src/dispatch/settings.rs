use crate::EvidenceSettings;
use core::time::Duration;

/// How a dispatch behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchSettings {
    /// Secret: draws follow from it. Whoever knows it can foresee which results are checked.
    pub seed: u64,
    /// Share of liars among strangers. Default 0.2.
    pub prior: f64,
    /// A worker that is silent for so long has lost its lease. Default 15 s; workers beat every third of it.
    pub silence: Duration,
    /// How long a worker may take to show the answer that it is bound to once it is asked. Default 5 s.
    pub reveal_within: Duration,
    /// Whether the relay runs tasks itself to settle disputes. Default true.
    pub referee: bool,
    /// Leases that are hidden checks against answers that the referee knows, in thousandths. Default 5.
    pub spots_permille: u16,
    /// Answers kept for hidden checks. Default 64.
    pub known_max: usize,
    /// First votes that wait for a second, among which one is drawn for whoever is free. Default 32: knowing that two workers
    /// are free at one moment does not tell who votes with whom.
    pub mixing: usize,
    /// Runs of one task before it is given up. Default 24.
    pub runs_max: u16,
    /// How long a task waits for another vote, or for its first run while none is given to anybody, before the referee runs it or
    /// it is given up. Default 10 min.
    pub patience: Duration,
    /// The same for a task whose votes differ, where the referee runs tasks. Default 50 s: whoever asked waits, and one liar beside one
    /// honest worker would cost them all of the patience.
    pub dispute_patience: Duration,
    /// Tasks at once. Default 100,000, each about 400 bytes.
    pub tasks_max: usize,
    /// Workers remembered beyond those here. Default 20,000.
    pub remembered_max: usize,
    /// Runs that workers of one owner hold together which never returned any. Default 2: keys are free, and a silent one costs others
    /// their time.
    pub stranger_leases_per_owner_max: u32,
    /// How long a stranger may take over a module of which nothing is known before somebody else is asked, too. Default 5 s.
    pub stranger_hedge: Duration,
    /// The same while somebody is idle anyway, for everybody. Default 2 s.
    pub unknown_hedge: Duration,
    /// How long a task waits for its slowest voter once others have answered, and as long again as they took. Default 2 s.
    pub straggler_grace: Duration,
    /// What a verified result is worth.
    pub evidence: EvidenceSettings,
}

impl DispatchSettings {
    /// The defaults, with this seed.
    pub fn new(seed: u64) -> Self {
        DispatchSettings {
            seed,
            prior: 0.2,
            silence: Duration::from_secs(15),
            reveal_within: Duration::from_secs(5),
            referee: true,
            spots_permille: 5,
            known_max: 64,
            mixing: 32,
            runs_max: 24,
            patience: Duration::from_secs(600),
            dispute_patience: Duration::from_secs(50),
            tasks_max: 100_000,
            remembered_max: 20_000,
            stranger_leases_per_owner_max: 2,
            stranger_hedge: Duration::from_secs(5),
            unknown_hedge: Duration::from_secs(2),
            straggler_grace: Duration::from_secs(2),
            evidence: EvidenceSettings::default(),
        }
    }
}
