//! Who can call whom: which functions can recurse, and how deep the others nest.
use super::function::Function;

/// The call graph's verdict on each function of the module, imports apart.
pub(super) struct Nesting {
    /// Whether the function can come to call itself.
    pub is_recursive: Vec<bool>,
    /// Whether another function of the same cycle, or it itself, calls it by name.
    pub is_called_in_cycle: Vec<bool>,
    /// Whether it, or any function below it, can recurse.
    pub reaches_cycle: Vec<bool>,
    /// Slots of the frames that can lie between it and the next frame whose function counts for itself, its own included.
    pub slots: Vec<u64>,
    /// The functions in an order in which callees come before callers, but for cycles.
    pub callees_first: Vec<u32>,
}

/// Works out the nesting. Nodes are the defined functions, then one for each type called through tables, then the host, through
/// which imports may call whatever is exported.
pub(super) struct Calls<'a> {
    pub functions: &'a [Function],
    /// Functions before the first defined one.
    pub imported: u32,
    /// For each type index, the first index of an equal type.
    pub same_type: &'a [u32],
    /// Defined functions that tables, references or the host can reach, by index among the defined.
    pub addressed: &'a [u32],
}

impl Calls<'_> {
    pub fn nesting(&self) -> Nesting {
        let defined = self.functions.len();
        let host = defined + self.same_type.len();
        let nodes = host + 1;
        let mut by_type = vec![Vec::new(); self.same_type.len()];
        for function in self.addressed {
            let type_index = self.functions[*function as usize].type_index;
            by_type[self.same_type[type_index as usize] as usize].push(*function);
        }
        let edge = |node: usize, number: usize| -> Option<usize> {
            if node == host {
                return self.addressed.get(number).map(|function| *function as usize);
            }
            if let Some(type_index) = node.checked_sub(defined) {
                let callees = &by_type[type_index];
                return match callees.get(number) {
                    Some(function) => Some(*function as usize),
                    // A table may hold an import, too.
                    None => (number == callees.len() && self.imported > 0).then_some(host),
                };
            }
            let function = &self.functions[node];
            if let Some(callee) = function.calls.get(number) {
                return Some(callee.checked_sub(self.imported).map_or(host, |callee| callee as usize));
            }
            let type_index = function.indirect.get(number - function.calls.len())?;
            Some(defined + self.same_type[*type_index as usize] as usize)
        };

        let components = components(nodes, &edge);
        let mut component_of = vec![0; nodes];
        for (number, members) in components.iter().enumerate() {
            members.iter().for_each(|node| component_of[*node] = number);
        }
        let mut is_cyclic = vec![false; components.len()];
        let mut reaches = vec![false; components.len()];
        let mut is_called_in_cycle = vec![false; defined];
        let mut depth = vec![0_u64; components.len()];
        let mut callees_first = Vec::with_capacity(defined);
        // They come callees first, so what a component calls is known when it is its turn.
        for (number, members) in components.iter().enumerate() {
            is_cyclic[number] = members.len() > 1;
            let mut below = 0;
            for node in members {
                let mut next = 0;
                while let Some(callee) = edge(*node, next) {
                    next += 1;
                    if component_of[callee] == number {
                        is_cyclic[number] = true;
                        if *node < defined && callee < defined {
                            is_called_in_cycle[callee] = true;
                        }
                    } else {
                        reaches[number] |= reaches[component_of[callee]];
                        below = below.max(depth[component_of[callee]]);
                    }
                }
                if *node < defined {
                    callees_first.push(*node as u32);
                }
            }
            reaches[number] |= is_cyclic[number];
            let own = match members[..] {
                // Those that recurse count their frames while they run.
                [node] if node < defined && !is_cyclic[number] => self.functions[node].slots,
                _ => 0,
            };
            depth[number] = below + own;
        }
        Nesting {
            is_recursive: (0..defined).map(|node| is_cyclic[component_of[node]]).collect(),
            is_called_in_cycle,
            reaches_cycle: (0..defined).map(|node| reaches[component_of[node]]).collect(),
            slots: (0..defined).map(|node| depth[component_of[node]]).collect(),
            callees_first,
        }
    }
}

/// The strongly connected components, callees first (Tarjan 1972), without recursion: the graph is a stranger's.
fn components(nodes: usize, edge: &dyn Fn(usize, usize) -> Option<usize>) -> Vec<Vec<usize>> {
    const NEW: u32 = u32::MAX;
    let mut order = vec![NEW; nodes];
    let mut low = vec![0_u32; nodes];
    let mut is_open = vec![false; nodes];
    let mut open = Vec::new();
    let mut components = Vec::new();
    let mut count = 0;
    for root in 0..nodes {
        if order[root] != NEW {
            continue;
        }
        let mut visits = vec![(root, 0)];
        while let Some((node, next)) = visits.last_mut() {
            let node = *node;
            if *next == 0 {
                order[node] = count;
                low[node] = count;
                count += 1;
                open.push(node);
                is_open[node] = true;
            }
            match edge(node, *next) {
                Some(callee) => {
                    *next += 1;
                    if order[callee] == NEW {
                        visits.push((callee, 0));
                    } else if is_open[callee] {
                        low[node] = low[node].min(order[callee]);
                    }
                }
                None => {
                    visits.pop();
                    if let Some((caller, _)) = visits.last() {
                        low[*caller] = low[*caller].min(low[node]);
                    }
                    if low[node] == order[node] {
                        let from = open.iter().rposition(|other| *other == node).unwrap_or(0);
                        let members = open.split_off(from);
                        members.iter().for_each(|member| is_open[*member] = false);
                        components.push(members);
                    }
                }
            }
        }
    }
    components
}
