//! A client of the admin server of a node.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use skyring::config::NodeAddress;
use skyring::status::NodeStatus;

/// How long the server may take to answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest document that is read, in bytes: 1,000 nodes and 1,000 channels for each of many shards take less.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// The longest file of a token, in bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 4_096;

/// The longest part of an answer that an error quotes, in characters.
const QUOTED_MAX: usize = 200;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens there, or the way there is closed.
    #[error("{address}: {cause}: does the node run, with admin = \"{address}\" in its config?")]
    Unreachable {
        /// The address of the server.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// The name has no address.
    #[error("{address}: there is no such host")]
    NoSuchHost {
        /// The address of the server.
        address: String,
    },
    /// It accepts, and says nothing.
    #[error(
        "{address}: no answer within {} s: the node hangs, or this is no admin server of Skyring; its address is `admin` in the node's config",
        ANSWER_TIME_MAX.as_secs()
    )]
    Silent {
        /// The address of the server.
        address: String,
    },
    /// It wants a token.
    #[error("{address}: the node asks for a token: give --token-file FILE with its admin_token")]
    TokenNeeded {
        /// The address of the server.
        address: String,
    },
    /// It wants another token.
    #[error("{address}: the node does not take this token: it is not the admin_token of its config")]
    TokenWrong {
        /// The address of the server.
        address: String,
    },
    /// It refuses, and says why.
    #[error("{address}: the node refuses: {said}")]
    Refused {
        /// The address of the server.
        address: String,
        /// Its words.
        said: String,
    },
    /// What is there is something else.
    #[error("{address} is no admin server of Skyring ({cause}); its address is `admin` in the node's config")]
    Other {
        /// The address.
        address: String,
        /// What was seen.
        cause: String,
    },
    /// There is no token in the file.
    #[error("{file}: {cause}", file = .file.display())]
    TokenFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// A client, which asks anew each time.
pub(super) struct Client {
    agent: ureq::Agent,
    address: String,
    /// The value of the header.
    authorization: Option<String>,
}

impl Client {
    /// A client of the server at this address.
    ///
    /// # Errors
    /// When the file has no token.
    pub(super) fn new(address: &NodeAddress, token_file: Option<&Path>) -> Result<Client, ClientError> {
        let authorization = token_file.map(read_token).transpose()?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("skyring top")
            .build();
        Ok(Client {
            agent: config.into(),
            address: address.to_string(),
            authorization,
        })
    }

    /// The status of the node now.
    ///
    /// # Errors
    /// When there is no answer, or none of a node.
    pub(super) fn status(&self) -> Result<NodeStatus, ClientError> {
        let mut request = self.agent.get(format!("http://{}/api/status", self.address));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|error| self.error(&error))?;
        let body = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX);
        let body = body.read_to_vec().map_err(|error| self.error(&error))?;
        let address = self.address.clone();
        let said = || -> String {
            let text = String::from_utf8_lossy(&body);
            text.trim().chars().take(QUOTED_MAX).collect()
        };
        match response.status().as_u16() {
            200 => {}
            401 if self.authorization.is_some() => return Err(ClientError::TokenWrong { address }),
            401 => return Err(ClientError::TokenNeeded { address }),
            403 => {
                return Err(ClientError::Refused {
                    address,
                    said: said(),
                });
            }
            code => {
                let cause = format!("it answers with the code {code}");
                return Err(ClientError::Other { address, cause });
            }
        }
        let status: Result<NodeStatus, String> =
            serde_json::from_slice(&body).map_err(|error| error.to_string());
        match status {
            // Every field has a default, but a node always has a version.
            Ok(status) if !status.version.is_empty() => Ok(status),
            Ok(_) => Err("there is no version in it".to_owned()),
            Err(error) => Err(error),
        }
        .map_err(|error| ClientError::Other {
            address,
            cause: format!("its answer is no status of a node: {error}"),
        })
    }

    fn error(&self, error: &ureq::Error) -> ClientError {
        let address = self.address.clone();
        match error {
            ureq::Error::Timeout(_) => ClientError::Silent { address },
            ureq::Error::HostNotFound => ClientError::NoSuchHost { address },
            ureq::Error::Io(error) if is_of_answer(error) => ClientError::Other {
                address,
                cause: format!("it closes the connection: {error}"),
            },
            ureq::Error::Io(error) => ClientError::Unreachable {
                address,
                cause: error.to_string(),
            },
            error => ClientError::Other {
                address,
                cause: error.to_string(),
            },
        }
    }
}

/// Whether an error comes from an open connection.
fn is_of_answer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::InvalidData
    )
}

fn read_token(file: &Path) -> Result<String, ClientError> {
    let wrong = |cause: String| ClientError::TokenFile {
        file: file.to_owned(),
        cause,
    };
    let mut text = String::new();
    File::open(file)
        .and_then(|file| file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let cause = "there is no token in it: a line of letters, digits and marks, without spaces";
        return Err(wrong(cause.to_owned()));
    }
    Ok(format!("Bearer {token}"))
}
