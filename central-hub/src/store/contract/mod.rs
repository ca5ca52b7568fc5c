//! What every store must keep, as cases written against [`Store`]: run for SQLite below, for PostgreSQL when it comes.
//!
//! A case takes an empty store and drives it by the trait alone; what needs a restart, a full disk or a damaged file
//! stands with the store's own tests. Random cases print their seed.

mod dating;
mod images;
mod intervals;
pub(super) mod make;
pub(super) mod readings;
mod restart;
mod service;

use std::sync::Arc;

use simpul_clock::Clock;
use tempfile::TempDir;

use super::{SqliteStore, Store, StoreConfig};
use make::NOW_MS;

/// A SQLite store in a folder of its own.
pub(super) struct Fixture {
    pub directory: TempDir,
    pub clock: Clock,
    pub config: StoreConfig,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            aside_bytes_max: 4_096,
            ballast_bytes: 0,
            ..StoreConfig::new(directory.path().join("store"), 1 << 30)
        };
        Fixture { directory, clock: Clock::held(NOW_MS), config }
    }

    pub(super) fn open(&self) -> SqliteStore {
        SqliteStore::open(self.config.clone(), self.clock.clone()).unwrap()
    }
}

/// Run each case on a fresh SQLite store.
macro_rules! on_sqlite {
    ($($module:ident :: $case:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture = super::Fixture::new();
                    let store: std::sync::Arc<dyn crate::store::Store> = std::sync::Arc::new(fixture.open());
                    super::$module::$case(store.as_ref()).await;
                }
            )*
        }
    };
}

on_sqlite! {
    service::a_recut_stream_counts_every_record_once,
    service::totals_follow_every_span_exactly,
    service::pages_go_both_ways_and_by_node,
    intervals::a_duplicate_is_acknowledged_and_brings_nothing,
    intervals::a_refused_upload_does_not_hinder_its_group,
    intervals::a_count_that_does_not_fit_is_refused,
    intervals::too_many_intervals_are_refused_and_gaps_may_still_close,
    intervals::too_many_epochs_are_refused_and_known_ones_go_on,
    intervals::lost_data_that_arrives_after_all_is_lost_no_more,
    intervals::unused_numbers_are_not_losses,
    intervals::a_loss_over_the_limit_refuses_its_batch_whole,
    intervals::nodes_are_told_apart_by_equality,
    intervals::the_ring_of_payloads_kept_aside_is_bounded_and_counts_all,
    readings::a_recut_stream_adds_up_at_any_moment,
    readings::the_newest_reading_is_the_newest_by_date,
    readings::missing_is_counted_and_never_a_number,
    readings::late_data_seals_its_day_again,
    images::parts_in_any_order_with_duplicates_make_the_image,
    images::a_bad_hash_is_refused_and_the_image_begins_again,
    images::the_newest_of_every_camera_is_found,
    images::old_images_go_by_capture_date,
    dating::a_clock_that_cannot_be_true_is_not_believed,
    dating::a_late_anchor_dates_everything_of_its_boot,
    dating::readings_at_an_estimate_wait_for_their_anchor,
    dating::an_anchor_of_another_epoch_only_estimates,
    dating::the_nearest_anchor_is_taken_and_drift_widens_its_error,
    dating::a_boot_between_two_others_is_estimated,
}

/// Everything there is to maintain, to the end.
pub(super) async fn maintain(store: &dyn Store, now_ms: i64) {
    // A bound, so that a store that always says "more" fails instead of hanging.
    for _ in 0..10_000 {
        if !store.maintain(now_ms).await.unwrap() {
            return;
        }
    }
    panic!("maintenance never ends");
}

/// A store that can be handed to tasks.
pub(super) fn shared(store: SqliteStore) -> Arc<SqliteStore> {
    Arc::new(store)
}
