//! Pictures of prizes, from the console to the phones: made anew, kept once, never a way in.

use crate::http::Answer;
use crate::show::EVENT;
use crate::test_server::TestServer;
use data_encoding::{BASE64, HEXLOWER};
use hyper::Method;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::json;

const PATH: &str = "/api/luckydraw/images/";

async fn upload(house: &TestServer, file: impl Into<bytes::Bytes>) -> Answer {
    house.admin(Method::POST, "images").body("image/png", file).await
}

fn written(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Red at the left, blue at the right.
fn halves() -> RgbImage {
    RgbImage::from_fn(60, 30, |x, _| Rgb(if x < 30 { [220, 30, 30] } else { [30, 30, 220] }))
}

/// A photo of a phone that was held upright, with the place where it was taken.
fn photo(place: &[u8; 12]) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    // Turned by a quarter to the right; the directory of the place, which holds GPSAreaInformation.
    let upright = [entry(0x0112, 3, 1, [6, 0, 0, 0]), entry(0x8825, 4, 1, [38, 0, 0, 0])].concat();
    let exif = [&b"II*\0\x08\0\0\0\x02\0"[..], &upright, &[0; 4], &[1, 0], &entry(0x001c, 7, 12, [56, 0, 0, 0]), &[0; 4], place];
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
    encoder.set_exif_metadata(exif.concat()).unwrap();
    encoder.encode_image(&halves()).unwrap();
    file
}

#[tokio::test]
async fn a_prize_s_picture_reaches_the_phones_as_a_path_that_they_keep() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    let file = written(halves(), ImageFormat::Png);
    let stored = upload(&house, file.clone()).await.ok();
    let path = stored["prize_image"].as_str().unwrap().to_owned();
    assert_eq!((&stored["width"], &stored["height"]), (&json!(60), &json!(30)));
    let prize = json!({"prize_name": "TV", "prize_rank": 1, "quantity": 1, "prize_image": path});
    let id = house.admin(Method::POST, "prizes").json(&prize).await.granted(201)["prize_id"].clone();
    let mut phone = house.socket(EVENT, "").await.greeted().await;
    house.order("draw/standby", &json!({"prize_id": id})).await.ok();
    assert_eq!(phone.until("draw_standby").await["prize_image"], path);
    // An old console sends the picture itself.
    let data_url =
        json!({"prize_name": "Radio", "prize_rank": 1, "prize_image": format!("data:image/png;base64,{}", BASE64.encode(&file))});
    house.start_draw(&data_url).await;
    assert_eq!(phone.until("draw_started").await["prize_image"], path, "the same picture has the same path");

    house.kill();
    house.restart().await;
    let served = house.ask(Method::GET, &path).await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "image/jpeg"));
    assert_eq!(served.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(served.header("x-content-type-options"), "nosniff");
    let hash = ring::digest::digest(&ring::digest::SHA256, &served.body);
    assert_eq!(path, format!("{PATH}{}.jpg", HEXLOWER.encode(hash.as_ref())), "it is named by what is stored");
    let again = house.ask(Method::GET, &path).header("if-none-match", served.header("etag")).await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, served.header("etag")));
    let other = house.ask(Method::GET, &path).header("if-none-match", "\"other\"").await;
    assert_eq!((other.status.as_u16(), other.body), (200, served.body));
}

#[tokio::test]
async fn where_a_photo_was_taken_is_nowhere_on_the_server() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    let (sent, in_a_draw) = (photo(b"37.56N126.9E"), photo(b"35.17N129.0E"));
    assert!(sent.windows(12).any(|window| window == b"37.56N126.9E"));
    let stored = upload(&house, sent).await.ok();
    assert_eq!((&stored["width"], &stored["height"]), (&json!(30), &json!(60)), "it stands upright");
    let served = house.ask(Method::GET, stored["prize_image"].as_str().unwrap()).await;
    let image = image::load_from_memory(&served.body).unwrap().into_rgb8();
    let (top, bottom) = (image.get_pixel(15, 5), image.get_pixel(15, 55));
    assert!(top[0] > 180 && top[2] < 80 && bottom[2] > 180 && bottom[0] < 80, "{top:?} over {bottom:?}");
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "prize_image": format!("data:;base64,{}", BASE64.encode(&in_a_draw))});
    house.order("draw/standby", &spec).await.ok();
    for trace in [&b"37.56N126.9E"[..], b"35.17N129.0E", b"Exif"] {
        assert!(!house.data_holds(trace), "{}", String::from_utf8_lossy(trace));
    }
}

#[tokio::test]
async fn several_pictures_at_once_wait_for_their_turn() {
    let house = TestServer::start().await;
    house.open_event().await;
    let send = |shade: u8| upload(&house, written(RgbaImage::from_pixel(40, 40, Rgba([shade, 0, 0, 128])), ImageFormat::Png));
    let (one, two, three, four) = tokio::join!(send(50), send(100), send(150), send(200));
    let paths: std::collections::BTreeSet<_> =
        [one, two, three, four].iter().map(|answer| answer.ok()["prize_image"].to_string()).collect();
    assert_eq!(paths.len(), 4);
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_the_server_goes_on() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    let whole = written(halves(), ImageFormat::Jpeg);
    let mut bomb = written(halves(), ImageFormat::Gif);
    bomb[6..10].copy_from_slice(&[0xff; 4]);
    for file in [
        &b""[..],
        b"<script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"\x89PNG\r\n\x1a\n",
        &whole[..whole.len() / 2],
        &bomb,
    ] {
        upload(&house, file.to_vec()).await.refused(422, "INVALID_REQUEST");
        let spec =
            json!({"prize_name": "TV", "prize_rank": 1, "prize_image": format!("data:image/png;base64,{}", BASE64.encode(file))});
        house.order("draw/standby", &spec).await.refused(422, "INVALID_REQUEST");
    }
    let message = upload(&house, bomb).await.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("65535 x 65535") && message.contains("12.5 megapixels"), "{message}");
    upload(&house, vec![0xff; 50 << 20]).await.refused(413, "BODY_TOO_LARGE");
    upload(&house, whole).await.ok();
}
