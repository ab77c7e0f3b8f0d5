//! The Debian package in a fresh root: installed, upgraded, removed, installed again and purged,
//! and no number is lost.
//!
//! Its binary is a line that runs the one under test, so that packing it takes no time. All else is
//! the package's own: units, user, settings, and the scripts around them.

use crate::fresh_root;

const STEPS: &str = r#"
    printf '#!/bin/sh\nexec /run/luckydraw "$@"\n' >/run/binary
    export SOURCE_DATE_EPOCH=1700000000
    for version in 1.0 1.1; do
        bash /run/scripts/deploy/package /run/binary $version amd64 /run/$version.deb /run/luckydraw
        cp /run/$version.deb /run/once.deb
        bash /run/scripts/deploy/package /run/binary $version amd64 /run/$version.deb /run/luckydraw
        cmp /run/once.deb /run/$version.deb || echo "two packages of the same files differ"
    done
    state() {
        health=$(set -a; . /etc/luckydraw/luckydraw.env 2>/dev/null; /run/luckydraw healthcheck --ready >/dev/null 2>&1 && echo healthy)
        number=$(curl -s -X POST http://127.0.0.1/api/luckydraw/register -d '{"event_id":"demo","request_id":"the-key-of-this-phone-0123456789"}' | sed -n 's/.*"draw_number":\([0-9]*\).*"is_existing":\([a-z]*\).*/\1 \2/p')
        kept=$(ls -d /etc/luckydraw/luckydraw.env /etc/luckydraw/admin-token /usr/bin/luckydraw /var/lib/luckydraw/luckydraw.sqlite 2>/dev/null | sed 's|.*/||' | tr '\n' ' ')
        echo "$1|$health|$number|$kept|$(cksum 2>/dev/null </etc/luckydraw/admin-token)"
    }
    dpkg -i /run/1.0.deb >/run/said 2>&1; state installed
    grep -q 'the console: http://[^/][^/]*/lottery/admin' /run/said && grep -q 'cat /etc/luckydraw/admin-token' /run/said && echo "it says where"
    echo LUCKYDRAW_PII_DAYS=7 >>/etc/luckydraw/luckydraw.env
    dpkg --force-confold -i /run/1.1.deb >/dev/null 2>&1; state upgraded
    sh /usr/share/luckydraw/launch.sh --port 81 >/run/said 2>&1 || cat /run/said
    curl -s http://127.0.0.1:81/readyz >/dev/null && grep -q '^ExecStart=/usr/bin/luckydraw' /etc/systemd/system/luckydraw.service && echo "it moves"
    sh /usr/share/luckydraw/launch.sh --port 80 >/run/said 2>&1; state moved
    dpkg -r luckydraw >/dev/null 2>&1; state removed
    dpkg -i /run/1.1.deb >/dev/null 2>&1; state again
    grep -c PII_DAYS=7 /etc/luckydraw/luckydraw.env
    dpkg -P luckydraw >/dev/null 2>&1; state purged
    ls /etc/systemd/system/luckydraw* /usr/lib/systemd/system/luckydraw* /usr/lib/sysctl.d/60-luckydraw.conf 2>/dev/null
"#;

#[test]
fn a_package_is_installed_upgraded_moved_removed_and_purged_and_keeps_every_number() {
    let Some(output) = fresh_root::run(STEPS, &[]) else { return };
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    let whole = "admin-token luckydraw.env luckydraw luckydraw.sqlite ";
    let token = lines.first().and_then(|line| line.rsplit('|').next()).unwrap_or_default();
    assert!(!token.is_empty(), "{text}{errors}");
    let expected = [
        format!("installed|healthy|1 false|{whole}|{token}"),
        "it says where".into(),
        format!("upgraded|healthy|1 true|{whole}|{token}"),
        "it moves".into(),
        format!("moved|healthy|1 true|{whole}|{token}"),
        format!("removed|||admin-token luckydraw.env luckydraw.sqlite |{token}"),
        format!("again|healthy|1 true|{whole}|{token}"),
        "1".into(),
        "purged|||luckydraw.sqlite |".into(),
    ];
    assert_eq!(lines, expected, "{errors}");
}
