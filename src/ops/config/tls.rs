//! Settings of TLS: the origin of certificates, and the addresses that still speak
//! plain HTTP.
//!
//! With certificate files, or with a contact for an authority, every address of `LUCKYDRAW_BIND`
//! speaks TLS. Half a setting is refused rather than completed by a guess: a server that was meant
//! to speak TLS must not start without it.

use crate::base::address::Scheme;
use crate::base::http_client::Url;
use crate::ops::config::reader::Reader;
use crate::tls::{AcmeOrder, CertificateOrigin, TlsSettings};
use std::path::PathBuf;

/// Let's Encrypt's directory for real certificates, and the one for practice.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Reads everything about TLS; `None` if no certificate is configured.
pub fn read_tls(reader: &mut Reader, domain: Option<&str>) -> Option<TlsSettings> {
    let (cert, key, contact) = (reader.text("TLS_CERT"), reader.text("TLS_KEY"), reader.text("ACME_CONTACT"));
    let wants_tls = !(cert.is_empty() && key.is_empty() && contact.is_empty());
    let (plain, redirect) = (reader.addresses("PLAIN_BIND"), reader.addresses("REDIRECT_BIND"));
    let order = read_order(reader, domain, &contact);
    let mut refuse = |name, message| {
        reader.refuse(name, message);
        None
    };
    let origin = match (cert.is_empty(), key.is_empty(), contact.is_empty()) {
        (true, true, true) => None,
        (true, true, false) => order.map(CertificateOrigin::Acme),
        (false, false, true) => Some(CertificateOrigin::Files { cert: cert.into(), key: key.into() }),
        (false, true, _) => refuse("TLS_CERT", "the certificate's key is missing: LUCKYDRAW_TLS_KEY"),
        (true, false, _) => refuse("TLS_KEY", "the key's certificate is missing: LUCKYDRAW_TLS_CERT"),
        (false, false, false) => refuse("ACME_CONTACT", "LUCKYDRAW_TLS_CERT names a certificate already: remove one of the two"),
    };
    for (name, addresses) in [("PLAIN_BIND", &plain), ("REDIRECT_BIND", &redirect)] {
        if !addresses.is_empty() && !wants_tls {
            reader.refuse(name, "only where LUCKYDRAW_BIND speaks TLS (LUCKYDRAW_TLS_CERT or LUCKYDRAW_ACME_CONTACT)");
        }
    }
    Some(TlsSettings { origin: origin?, plain, redirect })
}

/// Reads the order for an authority; `None` without a contact.
fn read_order(reader: &mut Reader, domain: Option<&str>, contact: &str) -> Option<AcmeOrder> {
    let (directory, staging) = (reader.text("ACME_DIRECTORY"), reader.text("ACME_STAGING"));
    let staging = match (staging.is_empty(), directory == PRODUCTION) {
        (false, _) => Some(staging),
        (true, true) => Some(STAGING.to_owned()),
        (true, false) => None,
    };
    for (name, url) in [("ACME_DIRECTORY", Some(&directory)), ("ACME_STAGING", staging.as_ref())] {
        if let Some(url) = url.filter(|url| Url::parse(url).is_none_or(|url| url.scheme != Scheme::Https)) {
            reader.refuse(name, format!("{url:?} is not an address that begins with https://"));
        }
    }
    let port = reader.number("ACME_PORT") as u16;
    let authorities = Some(reader.text("ACME_CA")).filter(|path| !path.is_empty()).map(PathBuf::from);
    if contact.is_empty() {
        return None;
    }
    if !is_mail_address(contact) {
        reader.refuse("ACME_CONTACT", format!("{contact:?} is not a mail address"));
    }
    let Some(domain) = domain else {
        reader.refuse("ACME_CONTACT", "a certificate is for a name, and LUCKYDRAW_DOMAIN is not set");
        return None;
    };
    Some(AcmeOrder { domain: domain.to_owned(), contact: contact.to_owned(), directory, staging, authorities, port })
}

/// Finds the slips that the authority's own check would find at once; the rest is between it and
/// the operator.
fn is_mail_address(text: &str) -> bool {
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'?' | b'"'));
    is_visible && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::config::{Invocation, parse};
    use std::ffi::OsString;

    /// The settings of TLS, or the names of what is wrong.
    fn check(env: &[(&str, &str)]) -> Result<Option<TlsSettings>, Vec<String>> {
        let env = env.iter().map(|(name, value)| (OsString::from(format!("LUCKYDRAW_{name}")), OsString::from(value)));
        match parse([OsString::from("luckydraw")], env) {
            Ok(Invocation::Run { config, .. }) => Ok(config.tls),
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
        let private = [("DOMAIN", "a.kr"), ("ACME_CONTACT", "o@a.kr"), ("ACME_DIRECTORY", "https://localhost:14000/dir")];
        let CertificateOrigin::Acme(order) = check(&private).unwrap().unwrap().origin else { panic!() };
        assert_eq!(order.staging, None, "a private authority gets no practice order at Let's Encrypt");
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
            (&[("DOMAIN", "a.kr"), ("ACME_CONTACT", "o@a.kr"), ("ACME_STAGING", "practice")], "ACME_STAGING"),
            (&[("PLAIN_BIND", "127.0.0.1:1")], "PLAIN_BIND"),
            (&[("REDIRECT_BIND", "127.0.0.1:1")], "REDIRECT_BIND"),
            (&[("TLS_CERT", "c.pem"), ("TLS_KEY", "k.pem"), ("REDIRECT_BIND", "80")], "REDIRECT_BIND"),
        ] {
            assert_eq!(check(env).unwrap_err(), [format!("LUCKYDRAW_{name}")], "{env:?}");
        }
    }

    #[test]
    fn open_mode_is_refused_when_any_address_is_not_loopback() {
        let at = |bind| [("OPEN", "1"), ("BIND", "127.0.0.1:0"), ("TLS_CERT", "c"), ("TLS_KEY", "k"), ("PLAIN_BIND", bind)];
        assert!(check(&at("127.0.0.1:0")).is_ok());
        assert_eq!(check(&at("0.0.0.0:0")).unwrap_err(), ["LUCKYDRAW_OPEN"]);
    }
}
