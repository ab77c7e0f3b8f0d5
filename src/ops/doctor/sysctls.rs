//! The kernel's settings that a rush of phones meets, each with its reason. `scripts/deploy/launch.sh` sets them all.

use crate::ops::doctor::finding::Finding;

/// A setting and the least that it should be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub name: &'static str,
    /// Which of its numbers counts, from 0.
    pub field: usize,
    pub least: u64,
    /// What happens below.
    pub otherwise: &'static str,
}

/// What is looked at.
pub const WANTED: &[Wanted] = &[
    Wanted {
        name: "net.core.somaxconn",
        field: 0,
        least: 4_096,
        otherwise: "phones that arrive at one instant, or while a new version starts, are refused beyond it",
    },
    Wanted {
        name: "net.ipv4.tcp_max_syn_backlog",
        field: 0,
        least: 4_096,
        otherwise: "half-open connections beyond it wait for a retry of a second",
    },
    Wanted {
        name: "net.ipv4.tcp_syncookies",
        field: 0,
        least: 1,
        otherwise: "a flood of half-open connections shuts everybody out",
    },
    Wanted { name: "net.ipv4.tcp_mem", field: 2, least: 8_192, otherwise: "sockets share less than 32 MiB, and sends stall" },
    Wanted { name: "fs.file-max", field: 0, least: 65_536, otherwise: "the whole machine runs out of descriptors" },
];

/// Reads the settings; one that this kernel does not show is left out.
pub fn examine() -> Vec<Finding> {
    let read = |wanted: &Wanted| {
        let path = format!("/proc/sys/{}", wanted.name.replace('.', "/"));
        Some((*wanted, value(&std::fs::read_to_string(path).ok()?, wanted.field)?))
    };
    judge(&WANTED.iter().filter_map(read).collect::<Vec<_>>())
}

/// The number in this field of a setting's text.
pub fn value(text: &str, field: usize) -> Option<u64> {
    text.split_whitespace().nth(field)?.parse().ok()
}

fn judge(values: &[(Wanted, u64)]) -> Vec<Finding> {
    let low: Vec<_> = values.iter().filter(|(wanted, value)| value < &wanted.least).collect();
    if low.is_empty() {
        return vec![Finding::good("sysctl", format!("all {} looked at are high enough", values.len()))];
    }
    let finding = |(wanted, value): &&(Wanted, u64)| {
        let Wanted { name, field, least, otherwise } = wanted;
        let place = if *field == 0 { String::new() } else { format!(" (number {} of it)", field + 1) };
        let says = format!("{name} is {value}{place}: {otherwise}");
        Finding::advice("sysctl", says, format!("at least {least}, in /etc/sysctl.d/60-luckydraw.conf, then sysctl --system"))
    };
    low.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn each_setting_that_is_too_low_is_named_with_what_happens() {
        let all = |change: i64| WANTED.iter().map(|w| (*w, w.least.saturating_add_signed(change))).collect::<Vec<_>>();
        assert_eq!(judge(&all(0)).iter().map(|finding| finding.grade).collect::<Vec<_>>(), [Grade::Good]);
        let low = judge(&all(-1));
        assert_eq!(low.len(), WANTED.len());
        assert!(low.iter().zip(WANTED).all(|(finding, wanted)| {
            finding.grade == Grade::Advice
                && finding.says.contains(wanted.name)
                && finding.mend.contains(&wanted.least.to_string())
        }));
    }

    #[test]
    fn a_setting_may_have_several_numbers() {
        assert_eq!(
            (value("10\t20\t30\n", 2), value("4096\n", 0), value("x", 0), value("1", 1)),
            (Some(30), Some(4_096), None, None)
        );
    }
}
