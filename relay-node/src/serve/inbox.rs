//! Publishes what the settings name, and imports what other processes publish into this relay's store.

use crate::http::{App, link};
use crate::publish::{Job, publish_into, take_all};
use crate::store::Imported;
use peeredge_node::Input;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the inbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so many looks the store's health is looked at, too.
const CHECK_EVERY_LOOKS: u32 = 10;
/// After so many, about half an hour, what publishers left behind is looked for: they may be killed as often as they like.
const TIDY_EVERY_LOOKS: u32 = 18_000;

/// Starts both; the node hears of every content that came in.
pub(super) fn watch(app: Arc<App>, imported: mpsc::UnboundedSender<Input>) -> io::Result<()> {
    app.store.remove_leftovers();
    if !app.config.publish.is_empty() {
        let (app, imported) = (app.clone(), imported.clone());
        std::thread::Builder::new()
            .name("peeredge-publish".into())
            .spawn(move || publish_named(&app, &imported))?;
    }
    tokio::spawn(async move {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut looks: u32 = 0;
        let mut stopped = pin!(app.stopped());
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = &mut stopped => return,
            }
            let (app, imported) = (app.clone(), imported.clone());
            let bytes_max = app.config.store_bytes_max.0;
            looks = looks.wrapping_add(1);
            let is_check = looks.is_multiple_of(CHECK_EVERY_LOOKS);
            let is_time_to_tidy = looks.is_multiple_of(TIDY_EVERY_LOOKS);
            let done = tokio::task::spawn_blocking(move || {
                if is_time_to_tidy {
                    app.store.remove_leftovers();
                }
                if is_check {
                    app.store.look_at_wrong(false);
                    app.store.try_again();
                }
                take_all(&app.store, bytes_max, &mut |item| tell(&imported, item));
            });
            if done.await.is_err() {
                tracing::error!("an import panicked");
            }
        }
    });
    Ok(())
}

fn tell(imported: &mpsc::UnboundedSender<Input>, item: Imported) {
    // Fails only when the relay's own peer has ended, which makes the relay unready.
    let _ = imported.send(Input::Stored { content: item.entry.content, state: item.state });
}

fn publish_named(app: &App, imported: &mpsc::UnboundedSender<Input>) {
    for path in &app.config.publish {
        let job = Job { path: path.clone(), name: None, media_type: None, of_task: false };
        let bytes_max = app.config.store_bytes_max.0;
        let mut tenths = 0;
        let mut progress = |done: u64, all: u64| {
            let now = (done * 10).checked_div(all).unwrap_or(10);
            // Small files are done before anyone could read of it.
            if now > tenths && all > 256 << 20 {
                tracing::info!(file = %path.display(), "publishing, {} %", now * 10);
            }
            tenths = now;
        };
        match publish_into(&app.store, &job, bytes_max, &mut progress, &mut |item| tell(imported, item)) {
            Ok(outcome) => {
                let link = link(&app.config.public_url(), &outcome.content.to_string(), &outcome.name);
                tracing::info!(file = %path.display(), %link, "published");
                // The log has it, too.
                crate::say::offer(link);
            }
            Err(error) => tracing::error!(file = %path.display(), %error, "not published"),
        }
    }
}
