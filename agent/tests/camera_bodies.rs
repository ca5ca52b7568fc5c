//! What cameras answer, and the exact condition and detail that follows.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use fake::camera::{Server, Task, answer, config, picture, scene};
use simpul_wire::event::CameraCondition::{self, BadImage, Good, Unreachable};
use tokio::io::AsyncWriteExt;

async fn check(name: &str, response: Vec<u8>, expected: (CameraCondition, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(move |_| response.clone()).await;
    let task = Task::start(config(&server.url("/picture"), folder.path()));
    let reply = task.snapshot().await;
    let (condition, detail) = (expected.0, expected.1.to_owned());
    assert_eq!(task.conditions(), [(condition, detail.clone())], "{name}");
    match condition {
        Good => {
            assert_eq!(reply.as_deref(), Ok("stored as snapshot 2, 0 % masked"), "{name}");
            assert_eq!(task.images().len(), 1, "{name}");
        }
        _ => {
            assert_eq!(reply, Err(detail), "{name}");
            assert!(task.images().is_empty(), "{name}: nothing bad is stored");
        }
    }
}

fn encoded(progressive: bool, colour: jpeg_encoder::ColorType) -> Vec<u8> {
    let channels = if colour == jpeg_encoder::ColorType::Luma { 1 } else { 3 };
    let pixels: Vec<u8> = (0..64 * 48 * channels).map(|index| (index * 31 / 64 % 251) as u8).collect();
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 85);
    encoder.set_progressive(progressive);
    encoder.encode(&pixels, 64, 48, colour).unwrap();
    jpeg
}

#[tokio::test]
async fn good_pictures_of_every_kind_are_stored() {
    use jpeg_encoder::ColorType::{Luma, Rgb};
    for (name, jpeg) in [
        ("baseline", encoded(false, Rgb)),
        ("progressive", encoded(true, Rgb)),
        ("grey", encoded(false, Luma)),
        ("progressive grey", encoded(true, Luma)),
        ("bytes behind the end", [&encoded(false, Rgb)[..], b"\0\0trailer"].concat()),
    ] {
        check(name, picture(&jpeg), (Good, "")).await;
    }
    let lying = answer("200 OK", &["Content-Type: text/html"], &encoded(false, Rgb));
    check("a content type that lies", lying, (Good, "")).await;
}

#[tokio::test]
async fn bad_bodies_are_named_exactly() {
    let jpeg = scene(160, 120, 1, 0);
    let length = jpeg.len();
    let xml = "<?xml version=\"1.0\"?>\r\n<ResponseStatus><statusCode>4</statusCode></ResponseStatus>";
    let mut small = jpeg.clone();
    let frame = small.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    small[frame + 5..frame + 9].copy_from_slice(&[0, 8, 0, 8]);
    let mut piece_missing = jpeg.clone();
    piece_missing.drain(length / 2..length / 2 + 300);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, 0xff);
        chunked.extend_from_slice(b"\r\n");
    }
    for (name, response, expected) in [
        (
            "XML with status 200",
            picture(xml.as_bytes()),
            (BadImage, "no JPEG but markup: <?xml version=\"1.0\"?>  <ResponseStatus><statusCode>4</status"),
        ),
        ("HTML", picture(b"\n <!DOCTYPE html><html>"), (BadImage, "no JPEG but markup: <!DOCTYPE html><html>")),
        ("empty", picture(b""), (BadImage, "empty body")),
        ("no picture", picture(b"\0\x01\x02"), (BadImage, "no JPEG: begins with bytes 000102")),
        (
            "a few bytes short",
            picture(&jpeg[..length - 5]),
            (BadImage, &*format!("cut short: no end marker in {} bytes", length - 5)),
        ),
        (
            "half a picture",
            picture(&jpeg[..length / 2]),
            (BadImage, &format!("cut short: no end marker in {} bytes", length / 2)),
        ),
        ("a piece missing", picture(&piece_missing), (BadImage, "incomplete: picture data missing or damaged")),
        (
            "less than declared",
            picture(&jpeg)[..picture(&jpeg).len() - 100].to_vec(),
            (BadImage, &format!("cut short: {} of {length} bytes came", length - 100)),
        ),
        ("oversize, declared", picture(&vec![0xff; (1 << 20) + 1]), (BadImage, "over 1048576 bytes")),
        ("oversize, chunked", chunked, (BadImage, "over 1048576 bytes")),
        ("wrong dimensions", picture(&small), (BadImage, "wrong dimensions: 8x8, 16x16 to 8294400 pixels are taken")),
        ("not found", answer("404 Not Found", &[], b""), (BadImage, "HTTP 404 Not Found")),
        ("elsewhere", answer("302 Found", &["Location: http://127.0.0.1:9/"], b""), (BadImage, "HTTP 302 Found")),
        ("error", answer("500 Internal Server Error", &[], b"x"), (BadImage, "HTTP 500 Internal Server Error")),
        ("no answer", Vec::new(), (Unreachable, "no HTTP answer: connection closed before message completed")),
        ("no HTTP", b"SSH-2.0-dropbear\r\n".to_vec(), (Unreachable, "no HTTP answer: invalid HTTP version parsed")),
    ] {
        check(name, response, expected).await;
    }
}

#[tokio::test]
async fn a_camera_that_is_not_there_is_unreachable_once_and_good_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let task = Task::start(config(&format!("http://{address}/"), folder.path()));
    for _ in 0..3 {
        assert_eq!(task.snapshot().await, Err("no connection: Connection refused (os error 111)".into()));
    }
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&picture(&scene(160, 120, 1, 0))).await.unwrap();
        stream.shutdown().await.unwrap();
        // Read what was asked, so that the close is no reset.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    assert!(task.snapshot().await.is_ok());
    serving.await.unwrap();
    let conditions: Vec<_> = task.conditions().into_iter().map(|(condition, _)| condition).collect();
    assert_eq!(conditions, [Unreachable, Good], "events only on a change");
}

#[tokio::test]
async fn the_cameras_own_bytes_are_stored_without_what_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 85);
    encoder.add_exif_metadata(b"GPS -7.706 113.959").unwrap();
    let pixels: Vec<u8> = (0..64 * 48).map(|index| (index % 251) as u8).collect();
    encoder.encode(&pixels, 64, 48, jpeg_encoder::ColorType::Luma).unwrap();
    let sent = jpeg.clone();
    let server = Server::start(move |_| picture(&sent)).await;
    let task = Task::start(config(&server.url("/"), folder.path()));
    task.snapshot().await.unwrap();
    let (meta, stored) = task.images().remove(0);
    assert!(!stored.windows(3).any(|window| window == b"GPS"));
    assert_eq!(fake::camera::luma(&stored), fake::camera::luma(&jpeg), "not a pixel differs");
    assert_eq!((meta.length as usize, meta.width, meta.height), (stored.len(), 64, 48));
    assert_eq!(meta.sha256, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&stored)));
}

#[tokio::test]
async fn a_command_for_another_camera_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let task = Task::start(config("http://127.0.0.1:9/", folder.path()));
    let refused = task.command("roof", simpul_agent::sources::CameraAction::SnapshotNow).await;
    assert_eq!(refused, Err("roof is not a camera of this task".into()));
}
