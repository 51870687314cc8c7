//! The optimum, found by methods too simple to be wrong.

/// Maximum worth when each demand takes one unit: successive best augmenting paths (Bellman-Ford).
pub fn unit_optimum(capacity: &[u32], worth: &[Vec<(usize, f64)>]) -> f64 {
    let (nodes, demands) = (capacity.len(), worth.len());
    let mut at: Vec<Option<usize>> = vec![None; demands];
    let mut used = vec![0u32; nodes];
    let value = |d: usize, n: usize| worth[d].iter().find(|(node, _)| *node == n).map(|(_, w)| *w);
    let mut total = 0.0;
    loop {
        // gain[n]: the best change of worth that ends with one more holder at n.
        let mut gain = vec![f64::NEG_INFINITY; nodes];
        let mut by: Vec<Option<usize>> = vec![None; nodes];
        for d in (0..demands).filter(|d| at[*d].is_none()) {
            for (n, w) in &worth[d] {
                if *w > gain[*n] {
                    (gain[*n], by[*n]) = (*w, Some(d));
                }
            }
        }
        for _ in 0..nodes {
            for d in 0..demands {
                let Some(from) = at[d] else { continue };
                let here = value(d, from).expect("a demand is at a candidate");
                for (n, w) in &worth[d] {
                    let better = gain[from] + w - here;
                    if *n != from && better > gain[*n] + 1e-9 {
                        (gain[*n], by[*n]) = (better, Some(d));
                    }
                }
            }
        }
        // The path ends at a node with room, or with a demand that gives up its place for nothing.
        let mut best: (f64, Option<usize>, Option<usize>) = (1e-9, None, None);
        for n in 0..nodes {
            if used[n] < capacity[n] && gain[n] > best.0 {
                best = (gain[n], Some(n), None);
            }
        }
        for (d, held) in at.iter().enumerate() {
            if let Some(from) = *held {
                let swap = gain[from] - value(d, from).expect("a demand is at a candidate");
                if capacity[from] > 0 && swap > best.0 {
                    best = (swap, Some(from), Some(d));
                }
            }
        }
        let (change, Some(end), leaves) = best else { return total };
        total += change;
        match leaves {
            Some(d) => at[d] = None,
            None => used[end] += 1,
        }
        let mut node = end;
        loop {
            let d = by[node].expect("a gain has a demand that brings it");
            match at[d].replace(node) {
                Some(from) if Some(d) != leaves => node = from,
                _ => break,
            }
        }
    }
}

/// A demand of the full model.
pub struct Wish {
    pub size: [u32; 2],
    pub replicas: u8,
    /// Node and what is left of the worth there after its cost.
    pub worth: Vec<(usize, f64)>,
}

/// Maximum worth with two resources and replicas in different domains, by trying everything.
pub fn full_optimum(room: &mut Vec<[u32; 2]>, domains: &[u32], wishes: &[Wish]) -> f64 {
    let Some((wish, rest)) = wishes.split_first() else { return 0.0 };
    place(room, domains, wish, rest, 0, &mut Vec::new())
}

fn place(
    room: &mut Vec<[u32; 2]>,
    domains: &[u32],
    wish: &Wish,
    rest: &[Wish],
    from: usize,
    taken: &mut Vec<u32>,
) -> f64 {
    let mut best = full_optimum(room, domains, rest);
    if taken.len() == usize::from(wish.replicas) {
        return best;
    }
    for at in from..wish.worth.len() {
        let (node, worth) = wish.worth[at];
        let fits = (0..2).all(|r| room[node][r] >= wish.size[r]);
        if fits && worth > 0.0 && !taken.contains(&domains[node]) {
            (0..2).for_each(|r| room[node][r] -= wish.size[r]);
            taken.push(domains[node]);
            best = best.max(worth + place(room, domains, wish, rest, at + 1, taken));
            taken.pop();
            (0..2).for_each(|r| room[node][r] += wish.size[r]);
        }
    }
    best
}
