//! The uplink under the identity and the addresses that hold now.

use tokio::sync::watch;

use super::RETRY;
use crate::enrolment::EnrolmentError;
use crate::enrolment::access::{Access, Enrolment};
use crate::spool::Spool;
use crate::uplink::driver::Driver;

/// Run the uplink until `stop`; anew when the hub has told of other addresses, or a new token has made another identity.
pub(super) async fn connect(
    enrolment: &Enrolment,
    mut stop: watch::Receiver<bool>,
    driver: impl Fn(Access) -> Driver<Spool>,
) -> Result<(), EnrolmentError> {
    let mut changes = enrolment.changes();
    loop {
        let access = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            access = enrolment.access() => access?,
        };
        changes.mark_unchanged();
        let hubs = access.hubs.clone();
        let (halt, halted) = watch::channel(false);
        let mut running = std::pin::pin!(driver(access).run(halted));
        let ended = tokio::select! {
            () = &mut running => return Ok(()),
            _ = stop.wait_for(|stop| *stop) => true,
            () = moved(enrolment, &mut changes, &hubs) => false,
        };
        halt.send_replace(true);
        running.await;
        if ended {
            return Ok(());
        }
    }
}

/// Until a renewal has brought other addresses, or a new token lies there.
async fn moved(enrolment: &Enrolment, changes: &mut watch::Receiver<u64>, hubs: &[String]) {
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let told = enrolment.load().ok().flatten().and_then(|kept| enrolment.hubs(Some(&kept)).ok());
                if told.is_some_and(|told| told != hubs) {
                    return;
                }
            }
            () = tokio::time::sleep(RETRY) => {
                if enrolment.has_new_token() {
                    return;
                }
            }
        }
    }
}
