//! Pictures of prizes, from the console to the phones: re-encoded, stored once, never an attack.

use crate::event_steps::EVENT;
use crate::http_client::Response;
use crate::test_server::TestServer;
use data_encoding::{BASE64, HEXLOWER};
use hyper::Method;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::json;

const PATH: &str = "/api/luckydraw/images/";

async fn upload(server: &TestServer, file: impl Into<bytes::Bytes>) -> Response {
    server.admin(Method::POST, "images").body("image/png", file).await
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Red at the left, blue at the right.
fn halves() -> RgbImage {
    RgbImage::from_fn(60, 30, |x, _| Rgb(if x < 30 { [220, 30, 30] } else { [30, 30, 220] }))
}

/// A photo of a phone that was held upright, with its location in the Exif data.
fn photo(place: &[u8; 12]) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    // Rotated by 90 degrees clockwise; the GPS directory, which holds GPSAreaInformation.
    let upright = [entry(0x0112, 3, 1, [6, 0, 0, 0]), entry(0x8825, 4, 1, [38, 0, 0, 0])].concat();
    let exif = [&b"II*\0\x08\0\0\0\x02\0"[..], &upright, &[0; 4], &[1, 0], &entry(0x001c, 7, 12, [56, 0, 0, 0]), &[0; 4], place];
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
    encoder.set_exif_metadata(exif.concat()).unwrap();
    encoder.encode_image(&halves()).unwrap();
    file
}

#[tokio::test]
async fn a_prize_s_picture_reaches_the_phones_as_an_immutable_path() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let file = encoded(halves(), ImageFormat::Png);
    let stored = upload(&server, file.clone()).await.ok();
    let path = stored["prize_image"].as_str().unwrap().to_owned();
    assert_eq!((&stored["width"], &stored["height"]), (&json!(60), &json!(30)));
    let prize = json!({"prize_name": "TV", "prize_rank": 1, "quantity": 1, "prize_image": path});
    let id = server.admin(Method::POST, "prizes").json(&prize).await.expect_data(201)["prize_id"].clone();
    let mut phone = server.socket(EVENT, "").await.synced().await;
    server.admin_post("draw/standby", &json!({"prize_id": id})).await.ok();
    assert_eq!(phone.until("draw_standby").await["prize_image"], path);
    // An old console sends the picture itself.
    let data_url =
        json!({"prize_name": "Radio", "prize_rank": 1, "prize_image": format!("data:image/png;base64,{}", BASE64.encode(&file))});
    server.start_draw(&data_url).await;
    assert_eq!(phone.until("draw_started").await["prize_image"], path, "the same picture has the same path");

    server.kill();
    server.restart().await;
    let served = server.request(Method::GET, &path).await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "image/jpeg"));
    assert_eq!(served.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(served.header("x-content-type-options"), "nosniff");
    let hash = ring::digest::digest(&ring::digest::SHA256, &served.body);
    assert_eq!(path, format!("{PATH}{}.jpg", HEXLOWER.encode(hash.as_ref())), "its name is the hash of the stored bytes");
    let again = server.request(Method::GET, &path).header("if-none-match", served.header("etag")).await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, served.header("etag")));
    let other = server.request(Method::GET, &path).header("if-none-match", "\"other\"").await;
    assert_eq!((other.status.as_u16(), other.body), (200, served.body));
}

#[tokio::test]
async fn a_photo_s_location_is_not_stored() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let (sent, in_draw) = (photo(b"37.56N126.9E"), photo(b"35.17N129.0E"));
    assert!(sent.windows(12).any(|window| window == b"37.56N126.9E"));
    let stored = upload(&server, sent).await.ok();
    assert_eq!((&stored["width"], &stored["height"]), (&json!(30), &json!(60)), "it is upright");
    let served = server.request(Method::GET, stored["prize_image"].as_str().unwrap()).await;
    let image = image::load_from_memory(&served.body).unwrap().into_rgb8();
    let (top, bottom) = (image.get_pixel(15, 5), image.get_pixel(15, 55));
    assert!(top[0] > 180 && top[2] < 80 && bottom[2] > 180 && bottom[0] < 80, "{top:?} over {bottom:?}");
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "prize_image": format!("data:;base64,{}", BASE64.encode(&in_draw))});
    server.admin_post("draw/standby", &spec).await.ok();
    for trace in [&b"37.56N126.9E"[..], b"35.17N129.0E", b"Exif"] {
        assert!(!server.data_holds(trace), "{}", String::from_utf8_lossy(trace));
    }
}

#[tokio::test]
async fn concurrent_uploads_are_all_stored() {
    let server = TestServer::start().await;
    server.open_event().await;
    let send = |shade: u8| upload(&server, encoded(RgbaImage::from_pixel(40, 40, Rgba([shade, 0, 0, 128])), ImageFormat::Png));
    let (one, two, three, four) = tokio::join!(send(50), send(100), send(150), send(200));
    let paths: std::collections::BTreeSet<_> =
        [one, two, three, four].iter().map(|answer| answer.ok()["prize_image"].to_string()).collect();
    assert_eq!(paths.len(), 4);
}

#[tokio::test]
async fn an_invalid_picture_is_refused_and_the_next_one_is_stored() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let whole = encoded(halves(), ImageFormat::Jpeg);
    let mut bomb = encoded(halves(), ImageFormat::Gif);
    bomb[6..10].copy_from_slice(&[0xff; 4]);
    for file in [
        &b""[..],
        b"<script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"\x89PNG\r\n\x1a\n",
        &whole[..whole.len() / 2],
        &bomb,
    ] {
        upload(&server, file.to_vec()).await.expect_refusal(422, "INVALID_REQUEST");
        let spec =
            json!({"prize_name": "TV", "prize_rank": 1, "prize_image": format!("data:image/png;base64,{}", BASE64.encode(file))});
        server.admin_post("draw/standby", &spec).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let message = upload(&server, bomb).await.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("65535 x 65535") && message.contains("12.5 megapixels"), "{message}");
    upload(&server, vec![0xff; 50 << 20]).await.expect_refusal(413, "BODY_TOO_LARGE");
    upload(&server, whole).await.ok();
}
