//! The certificate: there, fitting its key and the name, begun and not soon ended.

use crate::ops::config::Config;
use crate::ops::doctor::finding::Finding;
use crate::tls::pair::{Pair, PairError, day};
use crate::tls::settings::CertificateOrigin;
use std::time::{Duration, SystemTime};

const CHECK: &str = "certificate";

/// A certificate of a public authority lives for 90 days and is renewed 30 before its end: with less left, the renewal does not work.
const LEFT_ADVISED: Duration = Duration::from_secs(14 * 86_400);

/// Reads the certificate's files, where it is files that hold one.
pub fn examine(config: &Config) -> Option<Finding> {
    match &config.tls.as_ref()?.origin {
        CertificateOrigin::Files { cert, key } => {
            let now = SystemTime::now();
            Some(judge(Pair::read(cert, key, config.app.http.domain.as_deref(), now).map(|pair| pair.ends), now))
        }
        CertificateOrigin::Acme(order) => {
            let says =
                format!("ordered for {} by the server itself, which checks name, port and clock before each order", order.domain);
            Some(Finding::good(CHECK, says))
        }
    }
}

/// `ends`: when it ends, or what is wrong with it.
fn judge(ends: Result<SystemTime, PairError>, now: SystemTime) -> Finding {
    let mend =
        "renew it (certbot renew, or whoever made it) and name the new chain and key in LUCKYDRAW_TLS_CERT and LUCKYDRAW_TLS_KEY";
    let ends = match ends {
        Ok(ends) => ends,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            return Finding::wrong(CHECK, format!("{error}{cause}"), mend);
        }
    };
    let left = ends.duration_since(now).unwrap_or_default();
    let says = format!("good until {}, {} days from now", day(ends), left.as_secs() / 86_400);
    if left < LEFT_ADVISED { Finding::advice(CHECK, says, mend) } else { Finding::good(CHECK, says) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn a_certificate_that_cannot_be_used_or_is_about_to_end_is_said() {
        let now = SystemTime::now();
        let grade = |days: u64| judge(Ok(now + Duration::from_secs(days * 86_400)), now).grade;
        assert_eq!((grade(60), grade(5)), (Grade::Good, Grade::Advice));
        let missing = Pair::read("/nowhere/cert".as_ref(), "/nowhere/key".as_ref(), None, now).map(|pair| pair.ends);
        let finding = judge(missing, now);
        assert!(finding.grade == Grade::Wrong && finding.says.contains("/nowhere/"), "{finding}");
    }
}
