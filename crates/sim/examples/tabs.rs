//! Visitors on slow links fetch one file from one publisher: when each of them has it, in milliseconds from its asking. The
//! benchmark `edge simulated` plays the same with real tabs.
//!
//! Arguments: visitors, bytes of the file, the publisher's and the visitors' bytes a second up, the visitors' down, microseconds from
//! each to the network's middle, milliseconds between two visitors' asking, seed. Output: one line of JSON, a list of milliseconds.

use peeredge_sim::{FetchEnd, Link, PeerSpec, Scenario, run};
use peeredge_wire::Time;

fn main() {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let Ok(Ok([visitors, length, publisher_up, up, down, latency_micros, every_ms, seed])) =
        numbers.map(<[u64; 8]>::try_from)
    else {
        eprintln!("eight numbers are due: see the head of the source");
        std::process::exit(2);
    };
    let mut scenario = Scenario::new(seed);
    scenario.until = Time::from_millis(3_600_000);
    scenario.relay.link.latency_micros = 0;
    let content = scenario.content(length, false, false);
    let link = |up_bytes_per_s| Link { up_bytes_per_s, down_bytes_per_s: down, latency_micros, loss_ppm: 0 };
    scenario.peer(PeerSpec::new(link(publisher_up)).publishing(content));
    for visitor in 0..visitors {
        // Everybody is there before the first asks.
        let mut spec = PeerSpec::new(link(up)).wanting(content);
        spec.config.http = false;
        spec.wants[0].0 = 2_000 + visitor * every_ms;
        scenario.peer(spec);
    }
    let report = run(scenario);
    let fetches = report.peers[1..].iter().flat_map(|peer| &peer.fetches);
    let times: Vec<String> = fetches
        .map(|fetch| match fetch.end {
            FetchEnd::Done(at) => (at - fetch.asked).as_millis().to_string(),
            FetchEnd::Pending | FetchEnd::Failed(..) => "null".into(),
        })
        .collect();
    println!("[{}]", times.join(","));
}
