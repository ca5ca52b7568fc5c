//! Waiting for what cannot be awaited (another process's state): polled, with a deadline and a sentence about what was
//! waited for.

use std::time::Duration;

/// Pause between two looks. Short beside anything that a test measures, long beside the cost of one look.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Call `look` until it yields a value; an error that names `what` after `within`.
pub async fn until<T, F, Fut>(what: &str, within: Duration, mut look: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(within, async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    });
    found.await.map_err(|_| anyhow::anyhow!("waited {} s in vain for: {what}", within.as_secs_f32()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_in_vain_names_what_it_waited_for() {
        let error = until("the moon", Duration::from_millis(30), || async { None::<()> }).await.unwrap_err();
        assert_eq!(error.to_string(), "waited 0.03 s in vain for: the moon");
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_first_value() {
        let mut looks = 0;
        let value = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            let found = (looks == 3).then_some(looks);
            async move { found }
        });
        assert_eq!(value.await.unwrap(), 3);
    }
}
