//! The lab as a program: commands come as lines of JSON on its input, each is answered by one line; it ends when its input does.
//! `lab.mjs` beside it speaks this for tests and benchmarks.

mod command;
mod gate;
mod shell;
mod udp;

use std::io::BufRead;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (lines_in, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if lines_in.send(line).is_err() {
                return;
            }
        }
    });
    LocalSet::new().block_on(&runtime, async move {
        let lab = Rc::new(shell::Lab::new(seed));
        tokio::task::spawn_local(shell::keep_time(lab.clone()));
        while let Some(line) = lines.recv().await {
            println!("{}", command::answer(&lab, &line).await);
        }
    });
    Ok(())
}
