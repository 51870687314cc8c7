//! Which operators are charged together, and where.
//!
//! A function's operators are divided into accounts. Each is charged at one place that is passed whenever its operators are about
//! to run: the function's entry, a loop's head, behind a conditional branch, at the start of an arm. What runs whenever the
//! place is passed, unless something traps, belongs to it, however far away. Small accounts are charged with the one before
//! them, whether they run or not, up to a bound.
use super::cost;
use super::counted::Counted;
use super::function::Function;
use super::op::Kind;

/// An account takes over at most this much gas from those that it leads to.
pub(super) const SMALL: u64 = 16;
/// No account: the place is never reached.
const NONE: u32 = u32::MAX;

/// Gas to be charged before an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// The operator's index.
    pub before: u32,
    /// How much.
    pub gas: u64,
    /// Whether it is then checked that any is left: at loop heads.
    pub is_checked: bool,
    /// For a loop that is charged before it begins: its passes.
    pub counted: Option<Counted>,
}

struct Account {
    before: u32,
    gas: u64,
    /// The account that is passed before this one can be; `NONE` for the entry's and the loops'.
    parent: u32,
    /// The account of the first arm, of an `else`.
    then: u32,
    /// The account of the second arm, of a first arm.
    otherwise: u32,
    /// How much gas of others is charged with it.
    absorbed: u64,
    counted: Option<Counted>,
}

struct Block {
    /// The account in which it began.
    entry: u32,
    /// The outermost block that is left or begun again from within, by its position.
    leaves: usize,
    /// Whether a branch leads to its end.
    is_target: bool,
    /// Whether its end can be reached from the arm before this one.
    falls: bool,
    is_loop: bool,
    then: u32,
}

/// The charges of a function in the order of their places. `bound` gives the gas of a callee that is charged by its callers, and none of others.
/// With `all_small`, every account that can be is charged with the one before it.
pub(super) fn charges(
    function: &Function,
    bound: &dyn Fn(u32) -> Option<u64>,
    all_small: bool,
) -> Vec<Charge> {
    let mut accounts = vec![Account {
        before: 0,
        gas: 0,
        parent: NONE,
        then: NONE,
        otherwise: NONE,
        absorbed: 0,
        counted: None,
    }];
    let open = |before: usize, parent: u32, then: u32, accounts: &mut Vec<Account>| {
        accounts.push(Account {
            before: before as u32,
            gas: 0,
            parent,
            then,
            otherwise: NONE,
            absorbed: 0,
            counted: None,
        });
        accounts.len() as u32 - 1
    };
    let mut current = 0;
    let mut blocks =
        vec![Block { entry: 0, leaves: 0, is_target: false, falls: false, is_loop: false, then: NONE }];
    for (index, op) in function.ops.iter().enumerate() {
        let is_dead = current == NONE;
        if !is_dead {
            accounts[current as usize].gas += u64::from(op.cost);
        }
        match op.kind {
            Kind::Block | Kind::Loop { .. } | Kind::If => {
                blocks.push(Block {
                    entry: current,
                    leaves: blocks.len(),
                    is_target: false,
                    // Past the arm, until there is an else.
                    falls: op.kind == Kind::If,
                    is_loop: matches!(op.kind, Kind::Loop { .. }),
                    then: NONE,
                });
                if is_dead {
                    continue;
                }
                match op.kind {
                    Kind::Loop { is_target: true } => {
                        let counted = Counted::of(function, index, bound);
                        let before = if counted.is_some() { index } else { index + 1 };
                        current = open(before, NONE, NONE, &mut accounts);
                        accounts[current as usize].gas = u64::from(cost::LOOP);
                        accounts[current as usize].counted = counted;
                    }
                    Kind::If => {
                        current = open(index + 1, current, NONE, &mut accounts);
                        if let Some(block) = blocks.last_mut() {
                            block.then = current;
                        }
                    }
                    _ => {}
                }
            }
            Kind::Else => {
                let Some(block) = blocks.last_mut() else { continue };
                if block.entry == NONE {
                    continue;
                }
                block.falls = !is_dead;
                current = open(index + 1, block.entry, block.then, &mut accounts);
            }
            Kind::End => {
                let Some(block) = blocks.pop() else { continue };
                let Some(outer) = blocks.last_mut() else { continue };
                outer.leaves = outer.leaves.min(block.leaves);
                if block.entry == NONE {
                    continue;
                }
                let is_left = block.leaves < blocks.len();
                current = match (!is_dead || block.falls || block.is_target, is_left) {
                    (false, _) => NONE,
                    (true, false) => block.entry,
                    (true, true) => open(index + 1, block.entry, NONE, &mut accounts),
                };
            }
            Kind::Br(label) if !is_dead => {
                leave(&mut blocks, label);
                current = NONE;
            }
            Kind::BrIf(label) if !is_dead => {
                leave(&mut blocks, label);
                current = open(index + 1, current, NONE, &mut accounts);
            }
            Kind::BrTable(table) if !is_dead => {
                for label in &function.tables[table as usize] {
                    leave(&mut blocks, *label);
                }
                current = NONE;
            }
            Kind::Return if !is_dead => {
                let outermost = blocks.len() as u32 - 1;
                leave(&mut blocks, outermost);
                current = NONE;
            }
            Kind::Unreachable => current = NONE,
            Kind::Call(callee) if !is_dead => accounts[current as usize].gas += bound(callee).unwrap_or(0),
            _ => {}
        }
    }

    // Later accounts first: what they pass on is then complete.
    let small = if all_small { u64::MAX } else { SMALL };
    for index in (1..accounts.len()).rev() {
        let Account { gas, parent, then, otherwise, .. } = accounts[index];
        if parent == NONE {
            continue;
        }
        if let Some(then) = accounts.get_mut(then as usize) {
            // Decided with the first arm.
            then.otherwise = index as u32;
            continue;
        }
        // The arms exclude each other: the dearer one is what counts.
        let other = accounts.get(otherwise as usize).map_or(0, |other| other.gas);
        let room = small - accounts[parent as usize].absorbed;
        let (taken, arms) = match (gas <= room, other <= room) {
            (true, true) => (gas.max(other), [index as u32, otherwise]),
            (true, false) => (gas, [index as u32, NONE]),
            (false, true) => (other, [otherwise, NONE]),
            (false, false) => continue,
        };
        for arm in arms {
            if let Some(arm) = accounts.get_mut(arm as usize) {
                arm.gas = 0;
            }
        }
        let parent = &mut accounts[parent as usize];
        parent.gas = parent.gas.saturating_add(taken);
        parent.absorbed += taken;
    }
    let mut charges: Vec<Charge> = (accounts.iter().enumerate())
        .filter(|(index, account)| account.gas > 0 || *index == 0)
        .map(|(index, account)| Charge {
            before: account.before,
            gas: account.gas,
            is_checked: index == 0 || account.parent == NONE,
            counted: account.counted,
        })
        .collect();
    charges.sort_by_key(|charge| charge.before);
    charges
}

/// Notes a branch to a label, from the innermost block.
fn leave(blocks: &mut [Block], label: u32) {
    let Some(target) = blocks.len().checked_sub(label as usize + 1) else { return };
    if !blocks[target].is_loop {
        blocks[target].is_target = true;
    }
    if let Some(innermost) = blocks.last_mut() {
        innermost.leaves = innermost.leaves.min(target);
    }
}
