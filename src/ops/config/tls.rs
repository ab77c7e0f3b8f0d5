//! What the operator settles about TLS: where certificates come from, and which doors are spoken at in the clear all the same.
//!
//! With files, or with an authority's contact, every address of `LUCKYDRAW_BIND` speaks TLS. Half a setting is refused rather than guessed at: a
//! server that was meant to speak TLS must not come up in the clear.

use crate::ops::config::Reader;
use crate::tls::settings::{AcmeOrder, CertificateOrigin, TlsSettings};
use hyper::Uri;
use std::path::PathBuf;

/// Let's Encrypt's directories, the one that counts and the one to practise on.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

impl Reader {
    /// Reads everything about TLS; none where nothing is said.
    pub(super) fn tls(&mut self, domain: Option<&str>) -> Option<TlsSettings> {
        let (cert, key, contact) = (self.text("TLS_CERT"), self.text("TLS_KEY"), self.text("ACME_CONTACT"));
        let says_tls = !(cert.is_empty() && key.is_empty() && contact.is_empty());
        let (plain, redirect) = (self.places_of("PLAIN_BIND"), self.places_of("REDIRECT_BIND"));
        let order = self.order(domain, &contact);
        let origin = match (cert.is_empty(), key.is_empty(), contact.is_empty()) {
            (true, true, true) => None,
            (true, true, false) => order.map(CertificateOrigin::Acme),
            (false, false, true) => Some(CertificateOrigin::Files { cert: cert.into(), key: key.into() }),
            (false, true, _) => self.half("TLS_CERT", "the certificate's key is missing: LUCKYDRAW_TLS_KEY"),
            (true, false, _) => self.half("TLS_KEY", "the key's certificate is missing: LUCKYDRAW_TLS_CERT"),
            (false, false, false) => {
                self.half("ACME_CONTACT", "LUCKYDRAW_TLS_CERT names a certificate already: leave one of the two")
            }
        };
        for (name, places) in [("PLAIN_BIND", &plain), ("REDIRECT_BIND", &redirect)] {
            if !places.is_empty() && !says_tls {
                self.wrong(name, "only where LUCKYDRAW_BIND speaks TLS (LUCKYDRAW_TLS_CERT or LUCKYDRAW_ACME_CONTACT)");
            }
        }
        Some(TlsSettings { origin: origin?, plain, redirect })
    }

    /// The order, if a contact is given.
    fn order(&mut self, domain: Option<&str>, contact: &str) -> Option<AcmeOrder> {
        let (directory, staging) = (self.text("ACME_DIRECTORY"), self.text("ACME_STAGING"));
        let staging = match (staging.is_empty(), directory == PRODUCTION) {
            (false, _) => Some(staging),
            (true, true) => Some(STAGING.to_owned()),
            (true, false) => None,
        };
        for (name, address) in [("ACME_DIRECTORY", Some(&directory)), ("ACME_STAGING", staging.as_ref())] {
            if let Some(address) = address.filter(|address| !is_https(address)) {
                self.wrong(name, format!("{address:?} is not an address that begins with https://"));
            }
        }
        let port = self.number("ACME_PORT") as u16;
        let authorities = Some(self.text("ACME_CA")).filter(|path| !path.is_empty()).map(PathBuf::from);
        if contact.is_empty() {
            return None;
        }
        if !is_mail(contact) {
            self.wrong("ACME_CONTACT", format!("{contact:?} is not a mail address"));
        }
        let Some(domain) = domain else {
            self.wrong("ACME_CONTACT", "a certificate is for a name: LUCKYDRAW_DOMAIN says none");
            return None;
        };
        Some(AcmeOrder { domain: domain.to_owned(), contact: contact.to_owned(), directory, staging, authorities, port })
    }

    fn half(&mut self, name: &str, message: &str) -> Option<CertificateOrigin> {
        self.wrong(name, message);
        None
    }
}

fn is_https(address: &str) -> bool {
    address.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some())
}

/// What the authority's own check would find at once; the rest is between it and the operator.
fn is_mail(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'?' | b'"'));
    is_plain && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::config::{Wish, understand};
    use std::ffi::OsString;

    /// What is settled about TLS, or the names of what is wrong.
    fn check(env: &[(&str, &str)]) -> Result<Option<TlsSettings>, Vec<String>> {
        let env = env.iter().map(|(name, value)| (OsString::from(format!("LUCKYDRAW_{name}")), OsString::from(value)));
        match understand([OsString::from("luckydraw")], env) {
            Ok(Wish::Serve(config)) => Ok(config.tls),
            Ok(other) => panic!("{other:?}"),
            Err(problems) => Err(problems.into_iter().map(|problem| problem.name).collect()),
        }
    }

    #[test]
    fn certificates_come_from_files_or_from_an_authority() {
        assert!(check(&[]).unwrap().is_none());
        let files = check(&[("TLS_CERT", "c.pem"), ("TLS_KEY", "k.pem"), ("REDIRECT_BIND", "[::]:80,0.0.0.0:80")]);
        let files = files.unwrap().unwrap();
        assert!(matches!(files.origin, CertificateOrigin::Files { .. }) && files.redirect.len() == 2 && files.plain.is_empty());
        let acme = check(&[("DOMAIN", "draw.example.kr"), ("ACME_CONTACT", "ops@example.kr")]).unwrap().unwrap();
        let CertificateOrigin::Acme(order) = acme.origin else { panic!() };
        assert_eq!((order.directory.as_str(), order.staging.as_deref(), order.port), (PRODUCTION, Some(STAGING), 443));
        let own = [("DOMAIN", "a.kr"), ("ACME_CONTACT", "o@a.kr"), ("ACME_DIRECTORY", "https://localhost:14000/dir")];
        let CertificateOrigin::Acme(order) = check(&own).unwrap().unwrap().origin else { panic!() };
        assert_eq!(order.staging, None, "an authority of one's own is not practised on elsewhere");
    }

    #[test]
    fn half_a_setting_is_refused() {
        for (env, name) in [
            (&[("TLS_CERT", "c.pem")][..], "TLS_CERT"),
            (&[("TLS_KEY", "k.pem")], "TLS_KEY"),
            (&[("ACME_CONTACT", "ops@example.kr")], "ACME_CONTACT"),
            (&[("DOMAIN", "a.kr"), ("ACME_CONTACT", "ops")], "ACME_CONTACT"),
            (&[("DOMAIN", "a.kr"), ("ACME_CONTACT", "o@a.kr"), ("TLS_CERT", "c"), ("TLS_KEY", "k")], "ACME_CONTACT"),
            (&[("DOMAIN", "a.kr"), ("ACME_CONTACT", "o@a.kr"), ("ACME_DIRECTORY", "http://a.kr/")], "ACME_DIRECTORY"),
            (&[("PLAIN_BIND", "127.0.0.1:1")], "PLAIN_BIND"),
            (&[("REDIRECT_BIND", "127.0.0.1:1")], "REDIRECT_BIND"),
            (&[("TLS_CERT", "c.pem"), ("TLS_KEY", "k.pem"), ("REDIRECT_BIND", "80")], "REDIRECT_BIND"),
        ] {
            assert_eq!(check(env).unwrap_err(), [format!("LUCKYDRAW_{name}")], "{env:?}");
        }
    }

    #[test]
    fn open_mode_stays_at_home_at_every_door() {
        let at = |bind| [("OPEN", "1"), ("BIND", "127.0.0.1:0"), ("TLS_CERT", "c"), ("TLS_KEY", "k"), ("PLAIN_BIND", bind)];
        assert!(check(&at("127.0.0.1:0")).is_ok());
        assert_eq!(check(&at("0.0.0.0:0")).unwrap_err(), ["LUCKYDRAW_OPEN"]);
    }
}
