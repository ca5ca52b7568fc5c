//! Parts of the agent: each begins, is tried again when it fails, and gets a while to end.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::RETRY;
use crate::update::Health;

/// Start a part. In a box, as the runtime's code for a task would else be in the program once for each of them.
pub(super) fn begin(tasks: &mut JoinSet<()>, part: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(part.boxed());
}

/// Run a part until it ends in order or `stop` becomes true; when it fails, report it and try again.
pub(super) async fn keep<T, E>(
    what: &'static str,
    health: Health,
    stop: watch::Receiver<bool>,
    mut start: impl FnMut() -> T + Send,
) where
    T: Future<Output = Result<(), E>> + Send + 'static,
    E: Display,
{
    let mut start = move || start().map_err(|error| error.to_string()).boxed();
    keep_on(what, health, stop, &mut start).await;
}

async fn keep_on(
    what: &'static str,
    health: Health,
    mut stop: watch::Receiver<bool>,
    start: &mut (dyn FnMut() -> BoxFuture<'static, Result<(), String>> + Send),
) {
    loop {
        // While it runs it works: a start that fails does so at once.
        health.works(what);
        let Err(error) = start().await else { return };
        health.ails(what);
        tracing::error!(%error, "{what} does not run; trying again in {} s", RETRY.as_secs());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Wait for tasks to end; those that do not are aborted. Nothing accepted is lost by that.
pub(super) async fn join(tasks: &mut JoinSet<()>, within: Duration, what: &str) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(within, all).await.is_err() {
        tracing::warn!("{what} did not end in time");
        tasks.shutdown().await;
    }
}
