//! The way to the ceiling, for the page: each number of users that was tried, what was measured with it, and what ended it.

use super::words::{Words, escape, figure, metric, unit, verdict, wait, words};
use crate::ceiling::{Ceiling, End, FIGURES, Step};
use std::fmt::{self, Write};

/// A section of the page.
pub fn write(page: &mut String, ceiling: &Ceiling) -> fmt::Result {
    write!(page, "<section class=\"card\"><h2>{}</h2><p>{}</p>", words("한계", "The ceiling"), found(ceiling))?;
    ceiling.why.iter().try_for_each(|why| write!(page, "<p class=\"note\">{}</p>", escape(why)))?;
    write!(page, "<div class=\"scroll\"><table><thead><tr><th>{}</th><th></th>", words("사람", "users"))?;
    FIGURES.iter().try_for_each(|name| write!(page, "<th>{}</th>", heading(name)))?;
    write!(page, "</tr></thead><tbody>")?;
    ceiling.steps.iter().try_for_each(|step| write_step(page, step))?;
    write!(page, "</tbody></table></div></section>")
}

fn write_step(page: &mut String, step: &Step) -> fmt::Result {
    let (class, name) = verdict(step.verdict);
    write!(page, "<tr><td>{}</td><td class=\"{class}\">{name}</td>", figure(step.users.into()))?;
    for name in FIGURES {
        let value = step.metrics.get(name).copied().flatten();
        write!(page, "<td>{}</td>", value.map_or("-".to_owned(), |value| figure(value) + unit(name)))?;
    }
    write!(page, "</tr>")
}

/// What a figure is called: a criterion by its own name, a latency by that of its wait and which percentile it is.
fn heading(name: &str) -> String {
    let of_wait = name.rsplit_once('.').and_then(|(of, percentile)| Some(format!("{} {percentile}", wait(of)?)));
    metric(name).map(|words| words.to_string()).or(of_wait).unwrap_or_else(|| escape(name))
}

fn found(ceiling: &Ceiling) -> String {
    let words: Words = match ceiling.ended_by {
        End::Server => words("명까지 버텼습니다. 그 위에서 기준이 깨졌습니다:", "users held. Above that a criterion broke:"),
        End::Generator => words(
            "명까지 버텼습니다. 시험기가 먼저 한계에 닿아 서버의 한계는 알 수 없습니다:",
            "users held. The tester came to its own end first, and the server's ceiling is not known:",
        ),
        End::Bound => words("명까지 버텼고, 더는 묻지 않았습니다:", "users held, and more were not asked for:"),
        End::Interrupted => words("명까지 버텼습니다. 중단되었습니다:", "users held until it was interrupted:"),
    };
    format!("<b>{}</b> {words}", figure(ceiling.held.into()))
}
