//! Masks, views, scenes: from a camera's picture to what is stored of it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake::camera::{Server, Task, config, ffmpeg_frames, luma, photographs, picture, scene};
use simpul_agent::config::Mask;
use simpul_wire::event::CameraCondition::{self, Black, Frozen, Good, ViewChanged};

/// A camera that shows what it is given.
struct Camera {
    shown: Arc<Mutex<Vec<u8>>>,
    server: Server,
    folder: tempfile::TempDir,
}

impl Camera {
    async fn start() -> Camera {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let jpeg = shown.clone();
        let server = Server::start(move |_| picture(&jpeg.lock().unwrap())).await;
        Camera { shown, server, folder: tempfile::tempdir().unwrap() }
    }

    fn show(&self, jpeg: Vec<u8>) {
        *self.shown.lock().unwrap() = jpeg;
    }

    fn config(&self, masks: &[Mask]) -> simpul_agent::config::CameraConfig {
        let mut config = config(&self.server.url("/"), self.folder.path());
        config.masks = masks.to_vec();
        config
    }
}

const LEFT_HALF: Mask = Mask { x: 0, y: 0, width: 500, height: 1_000 };

fn conditions(task: &Task) -> Vec<CameraCondition> {
    task.conditions().into_iter().map(|(condition, _)| condition).collect()
}

#[tokio::test]
async fn in_photographs_pixels_under_a_mask_are_gone_and_the_others_are_kept() {
    for (photograph, mask) in photographs()
        .into_iter()
        .zip([Mask { x: 100, y: 300, width: 400, height: 300 }, Mask { x: 333, y: 333, width: 333, height: 333 }])
    {
        let camera = Camera::start().await;
        let before = luma(&photograph);
        camera.show(photograph);
        let task = Task::start(camera.config(&[mask]));
        task.snapshot().await.unwrap();
        let (meta, stored) = task.images().remove(0);
        assert_eq!((meta.width, meta.height), (640, 427));
        let area = u32::from(mask.width) * u32::from(mask.height) / 10_000;
        assert!((area..=area + 1).contains(&u32::from(meta.masked_percent)), "{meta:?}");
        let after = luma(&stored);
        let (mut hidden, mut apart, mut open) = (0_u32, 0_u64, 0_u64);
        for row in 0..427_usize {
            for column in 0..640_usize {
                let (x, y) = (column * 1_000 / 640, row * 1_000 / 427);
                let within = |at: usize, start: u16, length: u16, margin: i32| {
                    let (at, start) = (at as i32, i32::from(start));
                    at >= start + margin && at < start + i32::from(length) - margin
                };
                let index = row * 640 + column;
                // A block of 16 pixels at a mask's edge shares its frequencies with what is beside the mask; behind it
                // there is only black.
                if within(x, mask.x, mask.width, 45) && within(y, mask.y, mask.height, 45) {
                    hidden += 1;
                    assert!(after[index] < 4, "row {row}, column {column}: {} shows", after[index]);
                } else if !within(x, mask.x, mask.width, -45) || !within(y, mask.y, mask.height, -45) {
                    apart += u64::from(after[index].abs_diff(before[index]));
                    open += 1;
                }
            }
        }
        assert!(hidden > 10_000, "{hidden}");
        assert!((apart as f64 / open as f64) < 4.0, "what is not masked stays as it was");
    }
}

/// Let so many more polls happen: the schedule goes by the held clock.
async fn poll(camera: &Camera, task: &Task, count: usize) {
    let (deadline, begin) = (tokio::time::Instant::now() + fake::DEADLINE, camera.server.requests().len());
    while camera.server.requests().len() < begin + count {
        assert!(tokio::time::Instant::now() < deadline, "{} polls", camera.server.requests().len());
        task.clock.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn moving_frames_are_stored_when_they_change_and_skipped_when_they_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let still = ffmpeg_frames(folder.path(), "smptebars=size=640x360:rate=1", 1).remove(0);
    let folder = tempfile::tempdir().unwrap();
    let moving = ffmpeg_frames(folder.path(), "mandelbrot=size=640x360:rate=1:end_scale=0.0001:maxiter=400", 40);
    let camera = Camera::start().await;
    let task = Task::start({
        let mut config = camera.config(&[]);
        config.interval = Duration::from_millis(5);
        config.heartbeat = Duration::from_secs(3_600);
        config.frozen_after = 1_000;
        config
    });
    camera.show(still.clone());
    poll(&camera, &task, 10).await;
    assert_eq!(task.images().len(), 1, "a still scene is stored once");
    for frame in [&moving[0], &moving[39]] {
        camera.show(frame.clone());
        poll(&camera, &task, 10).await;
    }
    task.sink.wait_for(4).await;
    let images = task.images();
    assert!(images.iter().all(|(meta, _)| meta.changed));
    for pair in images.windows(2) {
        assert!((pair[0].0.dhash ^ pair[1].0.dhash).count_ones() >= 10);
    }
    assert_eq!(conditions(&task), [Good]);
}

#[tokio::test]
async fn another_resolution_masks_everything_until_someone_confirms_also_over_a_restart() {
    let camera = Camera::start().await;
    let mut config = camera.config(&[LEFT_HALF]);
    config.mask_resolution = Some((160, 120));
    camera.show(scene(160, 120, 1, 0));
    let task = Task::start(config.clone());
    assert_eq!(task.snapshot().await.unwrap(), "stored as snapshot 2, 50 % masked");
    camera.show(scene(320, 240, 1, 0));
    assert_eq!(task.snapshot().await.unwrap(), "stored as snapshot 4, 100 % masked");
    let (meta, stored) = task.images().remove(1);
    assert_eq!((meta.masked_percent, meta.dhash), (100, 0));
    assert!(luma(&stored).iter().all(|luma| *luma < 4), "nothing shows");
    let expected = "resolution is 320x240, masks are for 160x120: everything is masked until confirmed";
    assert_eq!(task.conditions()[1], (ViewChanged, expected.to_owned()));
    task.stop().await;

    let task = Task::start(config.clone());
    camera.show(scene(160, 120, 1, 1));
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 100, "back to the first resolution, but nobody looked");
    assert_eq!(task.confirm().await.unwrap(), "stored as snapshot 4, 50 % masked");
    assert_eq!(conditions(&task), [ViewChanged, Good]);
    task.stop().await;

    let task = Task::start(config);
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 50, "the confirmation survives a restart");
}

#[tokio::test]
async fn a_moved_view_is_masked_from_its_first_picture_on() {
    let camera = Camera::start().await;
    let config = camera.config(&[LEFT_HALF]);
    let [china, flower] = photographs();
    camera.show(china.clone());
    let task = Task::start(config.clone());
    task.snapshot().await.unwrap();
    camera.show(flower);
    for _ in 0..3 {
        task.snapshot().await.unwrap();
    }
    let masked: Vec<u8> = task.images().iter().map(|(meta, _)| meta.masked_percent).collect();
    assert_eq!(masked, [50, 100, 100, 100]);
    assert_eq!(conditions(&task), [Good, ViewChanged]);
    task.stop().await;
    let task = Task::start(config);
    camera.show(china);
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 100, "turned back and restarted: still until someone confirms");
}

#[tokio::test]
async fn an_unreadable_view_masks_everything() {
    let camera = Camera::start().await;
    camera.show(scene(160, 120, 1, 0));
    let config = camera.config(&[LEFT_HALF]);
    std::fs::create_dir_all(&config.state_directory).unwrap();
    std::fs::write(config.state_directory.join("camera-gate.json"), b"{").unwrap();
    let task = Task::start(config);
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 100);
}

#[tokio::test]
async fn masks_drawn_anew_begin_with_a_new_view() {
    let camera = Camera::start().await;
    let mut config = camera.config(&[LEFT_HALF]);
    config.mask_resolution = Some((320, 240));
    camera.show(scene(160, 120, 1, 0));
    let task = Task::start(config.clone());
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 100);
    task.stop().await;
    config.mask_resolution = Some((160, 120));
    let task = Task::start(config);
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 50);
}

#[tokio::test]
async fn a_confirmation_that_cannot_be_kept_unmasks_nothing() {
    let camera = Camera::start().await;
    let mut config = camera.config(&[LEFT_HALF]);
    config.mask_resolution = Some((320, 240));
    // A file where the directory should be.
    std::fs::write(&config.state_directory, b"").unwrap();
    camera.show(scene(160, 120, 1, 0));
    let task = Task::start(config);
    let refused = task.confirm().await.unwrap_err();
    assert!(refused.starts_with("the confirmation cannot be kept: "), "{refused}");
    task.snapshot().await.unwrap();
    assert_eq!(task.images()[0].0.masked_percent, 100);
}

#[tokio::test]
async fn frozen_and_black_are_conditions_and_end_by_themselves() {
    let camera = Camera::start().await;
    let mut config = camera.config(&[]);
    config.frozen_after = 3;
    let task = Task::start(config);
    camera.show(scene(160, 120, 1, 0));
    for _ in 0..4 {
        task.snapshot().await.unwrap();
    }
    camera.show(scene(160, 120, 1, 1));
    task.snapshot().await.unwrap();
    let mut black = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut black, 85);
    encoder.encode(&vec![2; 160 * 120], 160, 120, jpeg_encoder::ColorType::Luma).unwrap();
    camera.show(black);
    task.snapshot().await.unwrap();
    let conditions: Vec<_> = task.conditions();
    let expected =
        [(Good, ""), (Frozen, "3 identical images in a row"), (Good, ""), (Black, "brightness 2 of 255, variance 0")];
    assert_eq!(conditions, expected.map(|(condition, detail)| (condition, detail.to_owned())));
}

#[tokio::test]
async fn without_masks_there_is_nothing_to_confirm() {
    let camera = Camera::start().await;
    let task = Task::start(camera.config(&[]));
    assert_eq!(task.confirm().await.unwrap(), "no masks: nothing to confirm");
    assert!(camera.server.requests().is_empty());
}

#[tokio::test]
async fn a_snapshot_that_the_spool_refuses_is_tried_again() {
    let camera = Camera::start().await;
    camera.show(scene(160, 120, 1, 0));
    let task = Task::start(camera.config(&[]));
    task.snapshot().await.unwrap();
    camera.show(scene(160, 120, 2, 0));
    task.sink.refuse([simpul_agent::spool::AppendError::DiskFull("/data".into())]);
    assert_eq!(task.snapshot().await, Err("the disk is full: free space in /data".into()));
    task.snapshot().await.unwrap();
    assert!(task.images()[1].0.changed, "compared with what was stored, not with what was lost");
}
