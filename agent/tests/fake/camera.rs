//! A camera task under test, HTTP servers that answer as told, and pictures: made, from ffmpeg, and photographs.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simpul_agent::config::{CameraAddress, CameraConfig};
use simpul_agent::sources::camera::{CameraError, CameraShown, run};
use simpul_agent::sources::{CameraAction, CameraCommand};
use simpul_agent::spool::NewRecord;
use simpul_agent::stamper::Stamper;
use simpul_clock::Clock;
use simpul_wire::event::{CameraCondition, EventBody};
use simpul_wire::image::ImageMeta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{DEADLINE, FakeSink};

/// A configuration with an interval that no test waits for: pictures are taken by command.
pub fn config(url: &str, folder: &Path) -> CameraConfig {
    CameraConfig {
        id: "gate".parse().unwrap(),
        address: CameraAddress::Snapshot(url.into()),
        username: None,
        password_file: None,
        interval: Duration::from_secs(86_400),
        heartbeat: Duration::from_secs(900),
        image_bytes_max: 1 << 20,
        masks: Vec::new(),
        mask_resolution: None,
        frozen_after: 5,
        simulated: false,
        state_directory: folder.join("state"),
    }
}

/// With a password in a file.
pub fn with_login(mut config: CameraConfig, folder: &Path, username: &str, password: &str) -> CameraConfig {
    let path = folder.join("password");
    std::fs::write(&path, password).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    config.username = Some(username.into());
    config.password_file = Some(path);
    config
}

/// A running camera task.
pub struct Task {
    pub sink: FakeSink,
    pub clock: Clock,
    commands: mpsc::Sender<CameraCommand>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), CameraError>>,
}

impl Task {
    pub fn start(config: CameraConfig) -> Task {
        let sink = FakeSink::new();
        let clock = Clock::held(1_700_000_000_000);
        let (commands, received) = mpsc::channel(4);
        let (stop, shutdown) = watch::channel(false);
        let stamper = Stamper::new(1, clock.clone());
        let shown = watch::Sender::new(CameraShown::default());
        let task = tokio::spawn(run(config, sink.clone(), stamper, clock.clone(), received, shown, shutdown));
        Task { sink, clock, commands, stop, task }
    }

    pub async fn command(&self, camera: &str, action: CameraAction) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let camera = camera.parse().unwrap();
        self.commands.send(CameraCommand { camera, action, reply }).await.expect("the task runs");
        tokio::time::timeout(DEADLINE, answer).await.expect("an answer in time").expect("an answer")
    }

    pub async fn snapshot(&self) -> Result<String, String> {
        self.command("gate", CameraAction::SnapshotNow).await
    }

    pub async fn confirm(&self) -> Result<String, String> {
        self.command("gate", CameraAction::ConfirmView).await
    }

    pub fn conditions(&self) -> Vec<(CameraCondition, String)> {
        let condition = |record| match record {
            NewRecord::Event(event) => match event.body {
                EventBody::Camera { condition, detail, .. } => Some((condition, detail.to_string())),
                other => panic!("{other:?}"),
            },
            _ => None,
        };
        self.sink.records().into_iter().filter_map(condition).collect()
    }

    pub fn images(&self) -> Vec<(ImageMeta, Vec<u8>)> {
        let image = |record| match record {
            NewRecord::Snapshot { meta, jpeg } => Some((meta, jpeg)),
            _ => None,
        };
        self.sink.records().into_iter().filter_map(image).collect()
    }

    pub async fn stop(self) -> FakeSink {
        self.stop.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops").unwrap().unwrap();
        self.sink
    }
}

/// A request as a server saw it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub uri: String,
    pub authorization: Option<String>,
    pub body: String,
}

/// An HTTP server that answers with bytes of a test's choice, one request a connection.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Port 99999 in an answer becomes the server's own.
    pub async fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read_request(&mut stream).await else { continue };
                seen.lock().unwrap().push(request.clone());
                let answer = with_port(answer(&request), address.port());
                // A client that has had enough closes early.
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        Server { address, requests, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A camera that tells its own address needs to know its port; five digits, so that the length stays right.
fn with_port(mut answer: Vec<u8>, port: u16) -> Vec<u8> {
    let mark = b":99999/";
    while let Some(at) = answer.windows(mark.len()).position(|window| window == mark) {
        answer[at + 1..at + 6].copy_from_slice(format!("{port:05}").as_bytes());
    }
    answer
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
            };
            let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let mut first = head.split(' ');
                return Some(Request {
                    method: first.next()?.into(),
                    uri: first.next()?.into(),
                    authorization: header("authorization"),
                    body: body.into(),
                });
            }
        }
        match stream.read(&mut chunk).await {
            Ok(length @ 1..) => bytes.extend_from_slice(&chunk[..length]),
            _ => return None,
        }
    }
}

/// A whole answer.
pub fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// 200 with a picture.
pub fn picture(jpeg: &[u8]) -> Vec<u8> {
    answer("200 OK", &["Content-Type: image/jpeg"], jpeg)
}

/// A picture of waves; another `scene` is far from it, another `noise` is the same scene in other bytes.
pub fn scene(width: u16, height: u16, scene: u32, noise: u8) -> Vec<u8> {
    let mut pixels = Vec::new();
    for row in 0..u32::from(height) {
        for column in 0..u32::from(width) {
            let (x, y) = (column * 1_000 / u32::from(width), row * 1_000 / u32::from(height));
            let wave = ((x * (scene + 2) / 3 + y * scene) as f64 / 70.0 + f64::from(scene) * 2.0).sin();
            let grain = (column * 7 + row * 13 + u32::from(noise) * 5) % 8;
            pixels.extend([(wave * 90.0 + 120.0) as u8 + grain as u8, 90, (y / 4) as u8]);
        }
    }
    let mut jpeg = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 85);
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    jpeg
}

/// Brightness of a JPEG's pixels.
pub fn luma(jpeg: &[u8]) -> Vec<u8> {
    use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(jpeg), options).decode().unwrap()
}

/// Moving frames from ffmpeg, as JPEG files in order.
pub fn ffmpeg_frames(folder: &Path, source: &str, count: u32) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", &count.to_string(), "-q:v", "4"])
        .arg(folder.join("%03d.jpg"))
        .output()
        .expect("ffmpeg must be installed: apt-get install ffmpeg");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    (1..=count).map(|number| std::fs::read(folder.join(format!("{number:03}.jpg"))).unwrap()).collect()
}

/// The two photographs that scikit-learn ships: from the folder that `SIMPUL_TEST_PHOTOS` names, else from PyPI, once
/// for a target folder.
pub fn photographs() -> [Vec<u8>; 2] {
    let folder = match std::env::var_os("SIMPUL_TEST_PHOTOS") {
        Some(folder) => PathBuf::from(folder),
        None => download_photographs(),
    };
    ["china.jpg", "flower.jpg"].map(|name| {
        let path = folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

fn download_photographs() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-data").join("photographs");
    if folder.join("flower.jpg").exists() && folder.join("china.jpg").exists() {
        return folder;
    }
    // Tests run beside each other: each fetches into a folder of its own and renames.
    let fetched = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "scikit-learn", "--dest"])
        .arg(fetched.path())
        .output()
        .expect("python3 must be installed");
    assert!(output.status.success(), "pip download scikit-learn: {}", String::from_utf8_lossy(&output.stderr));
    let unpack = "import sys, zipfile, glob, os\n\
                  wheel = zipfile.ZipFile(glob.glob(os.path.join(sys.argv[1], '*.whl'))[0])\n\
                  for name in ('china.jpg', 'flower.jpg'):\n\
                  \x20   open(os.path.join(sys.argv[1], name), 'wb').write(wheel.read('sklearn/datasets/images/' + name))\n";
    let output = Command::new("python3").arg("-c").arg(unpack).arg(fetched.path()).output().unwrap();
    assert!(output.status.success(), "unpacking the wheel: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["china.jpg", "flower.jpg"] {
        let beside = folder.join(format!("{name}.{}", std::process::id()));
        std::fs::copy(fetched.path().join(name), &beside).unwrap();
        std::fs::rename(&beside, folder.join(name)).unwrap();
    }
    folder
}
