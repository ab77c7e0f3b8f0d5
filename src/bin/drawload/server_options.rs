//! Options that name a server, and prove who asks: tokens, authorities, source addresses.
//!
//! The lowest layer: it imports no other file of this program.

use clap::Args;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// Maximum number of addresses in one range.
const RANGE_MAX: u32 = 1_024;

/// The shortest token of agents.
const AGENT_TOKEN_MIN: usize = 16;

/// Address of the server, and access to it.
#[derive(Args)]
pub struct ServerOptions {
    /// http://…, https://…, ws://…, wss://… or just address:port, with or without a path; of
    /// several, as an origin and its edges, the first is the host's and the display's, and phones
    /// are spread over all [default: the server on this machine, with its process and its token]
    #[arg(long, visible_alias = "address", value_name = "URL,…", value_delimiter = ',')]
    pub host: Vec<String>,
    /// A table of another server's protocol, in TOML; scripts/protocols/fastapi-seed.toml is an
    /// example
    #[arg(long, value_name = "FILE")]
    pub protocol: Option<PathBuf>,
    /// The event to use; without it each scenario creates one and removes it afterwards
    #[arg(long)]
    pub event_id: Option<String>,
    /// Use the event even though people or draws are in it
    #[arg(long, requires = "event_id")]
    pub into_live_event: bool,
    /// Token for admin calls; not needed in open mode [env: LUCKYDRAW_ADMIN_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    admin_token: Option<String>,
    /// A file that holds the admin token [env: LUCKYDRAW_ADMIN_TOKEN_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "admin_token")]
    admin_token_file: Option<PathBuf>,
    /// Local addresses that connections come from in turn, as in 127.0.0.2-127.0.0.9; one has some
    /// 28,000 ports
    #[arg(long, value_name = "ADDRESS[-ADDRESS],…", value_delimiter = ',')]
    pub source_ips: Vec<SourceRange>,
    #[command(flatten)]
    pub trust: TrustOptions,
}

/// Certificate authorities of a server that speaks TLS; by default those that browsers trust.
#[derive(Args)]
pub struct TrustOptions {
    /// A PEM file with the certificates of a private authority
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate; for a server on this machine only
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

impl ServerOptions {
    /// Reads the admin token. A flag outweighs the environment, which may hold a token for other
    /// programs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn admin_token(&self) -> Result<Option<String>, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(token) = &self.admin_token {
            return Ok(Some(token.clone()));
        }
        let file = match &self.admin_token_file {
            Some(file) => file.clone(),
            None => match (variable("LUCKYDRAW_ADMIN_TOKEN"), variable("LUCKYDRAW_ADMIN_TOKEN_FILE")) {
                (None, Some(file)) => file.into(),
                (token, _) => return Ok(token),
            },
        };
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// One local address, or all from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRange(pub Vec<IpAddr>);

impl FromStr for SourceRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((first, last)) = text.split_once('-') else {
            return text.trim().parse().map(|address| Self(vec![address])).map_err(|_| format!("{text} is no address"));
        };
        let ends = [first, last].map(|end| end.trim().parse::<Ipv4Addr>().map(u32::from));
        let [Ok(first), Ok(last)] = ends else { return Err(format!("{text} is no range of IPv4 addresses")) };
        if first > last || last - first >= RANGE_MAX {
            return Err(format!("{text} must go upwards and hold at most {RANGE_MAX} addresses"));
        }
        Ok(Self((first..=last).map(|bits| Ipv4Addr::from(bits).into()).collect()))
    }
}

/// The secret that agents and their coordinator share.
#[derive(Args)]
pub struct AgentToken {
    /// A file with the token that agents and their coordinator share [env: DRAWLOAD_AGENT_TOKEN]
    #[arg(long, value_name = "FILE")]
    agent_token_file: Option<PathBuf>,
}

impl AgentToken {
    /// Reads the token.
    ///
    /// # Errors
    /// When there is none, or it is short.
    pub fn read(&self) -> Result<String, String> {
        let text = match &self.agent_token_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display())),
            None => std::env::var("DRAWLOAD_AGENT_TOKEN").map_err(|_| "agents need one".to_owned()),
        };
        let token = text.map_err(|why| format!("--agent-token-file: {why}"))?.trim().to_owned();
        let too_short = || format!("--agent-token-file: the token must have {AGENT_TOKEN_MIN} characters or more");
        if token.len() < AGENT_TOKEN_MIN { Err(too_short()) } else { Ok(token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_source_range_is_refused() {
        for text in ["", "x", "127.0.0.3-127.0.0.2", "127.0.0.2-", "10.0.0.0-10.255.0.0", "::1-::2"] {
            assert!(text.parse::<SourceRange>().is_err(), "{text}");
        }
    }
}
