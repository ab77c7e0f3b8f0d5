//! Counts for a monitoring system, in Prometheus's text format (version 0.0.4).
//!
//! Written by hand: a handful of numbers that are counted anyway need no registry. Nothing here tells of a draw, since anybody
//! may read it.

use super::answer::{Answer, Reply};
use super::app::App;
use crate::live::Role;
use crate::live::room::Room;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// One family: its name, type and meaning, and how a room's samples of it are written.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    sample: fn(&mut String, &str, &Room),
}

const FAMILIES: [Family; 4] = [
    Family { name: "luckydraw_participants", kind: "gauge", help: "Registered participants of an event.", sample: participants },
    Family { name: "luckydraw_sockets", kind: "gauge", help: "Connected sockets of an event, by role.", sample: sockets },
    Family { name: "luckydraw_sockets_behind", kind: "gauge", help: "Sockets with frames still queued.", sample: behind },
    Family {
        name: "luckydraw_sockets_evicted_total",
        kind: "counter",
        help: "Sockets closed for being slow, silent or too talkative.",
        sample: evicted,
    },
];

/// `/metrics`.
pub fn metrics(app: &App) -> Answer {
    let mut text = String::new();
    gauge(&mut text, "luckydraw_ready", "Whether the server takes new work.", app.ready.load(Relaxed));
    gauge(&mut text, "luckydraw_durable", "Whether the journal can be written.", app.durable.load(Relaxed));
    write_rooms(&mut text, &app.directory.all());
    let mut reply: Reply = Response::new(text.into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(reply)
}

fn write_rooms(text: &mut String, rooms: &[Arc<Room>]) {
    for Family { name, kind, help, sample } in FAMILIES {
        put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        rooms.iter().for_each(|room| sample(text, name, room));
    }
}

fn gauge(text: &mut String, name: &str, help: &str, is_so: bool) {
    put(text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {}\n", u8::from(is_so)));
}

fn participants(text: &mut String, name: &str, room: &Room) {
    put(text, format_args!("{name}{{event=\"{}\"}} {}\n", room.id, room.snapshot().event.participant_count()));
}

fn sockets(text: &mut String, name: &str, room: &Room) {
    for (role, label) in [(Role::Phone, "phone"), (Role::Display, "display"), (Role::Admin, "admin")] {
        let connected = room.census.connected(role);
        put(text, format_args!("{name}{{event=\"{}\",role=\"{label}\"}} {connected}\n", room.id));
    }
}

fn behind(text: &mut String, name: &str, room: &Room) {
    put(text, format_args!("{name}{{event=\"{}\"}} {}\n", room.id, room.census.behind.load(Relaxed)));
}

fn evicted(text: &mut String, name: &str, room: &Room) {
    put(text, format_args!("{name}{{event=\"{}\"}} {}\n", room.id, room.census.evicted.load(Relaxed)));
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_described_also_without_an_event() {
        let mut text = String::new();
        gauge(&mut text, "luckydraw_ready", "Whether.", true);
        write_rooms(&mut text, &[]);
        assert!(text.contains("luckydraw_ready 1\n"));
        for family in FAMILIES {
            assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind)), "{}", family.name);
        }
    }
}
