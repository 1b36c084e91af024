//! Reads what a desktop asks by HTTP: real GWS 8.5.2 and the guide's dialect come to one [`Operation`].
//!
//! | the guide | GWS |
//! |---|---|
//! | `PUT /me/calls/ID {"action":"answer"}`, `POST /me/calls/ID/answer` | `POST /me/calls/ID {"operationName":"Answer"}` |
//! | `POST /me/calls {"destination":"555…"}` | `POST /me/devices/DEV/calls {"operationName":"Dial","destination":{"phoneNumber":"555…"}}` |
//! | `POST /me/calls/ID/transfer {"destination":"5002","type":"blind"}` | `POST /me/calls/ID {"operationName":"SingleStepTransfer",…}` |
//! | `PUT /me/state {"state":"NotReady","reason":"Lunch"}` | `POST /me/channels/voice {"operationName":"NotReady"}` |
//!
//! Names of operations are read whatever their case; each place takes the words of both dialects. Fields that nobody here
//! reads are passed over, because desktops send more than we do. [`ROUTES`] is the whole of it: the OpenAPI document is
//! held against that table.

mod fields;
#[cfg(test)]
mod tests;

use fields::{Fields, decode};

use super::operation::{CallOperation, Operation, Refusal, Subresources};

/// Longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest part of a path that names something, in characters.
const MAX_NAME: usize = 128;

/// What came by HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …; a HEAD is a GET.
    pub method: &'a str,
    /// The path below `/api/v2`, as it was written: `/me/calls/ID`.
    pub path: &'a str,
    /// What stands behind the question mark; empty: nothing.
    pub query: &'a str,
    /// The type of the body.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What a reader is given.
struct Asked<'a> {
    /// What `{id}` of the path is; empty where it has none.
    id: String,
    query: &'a str,
    fields: Fields,
}

type Reader = fn(Asked<'_>) -> Result<Operation, Refusal>;

/// One resource and what may be done with it.
pub struct Route {
    /// Its path below `/api/v2`; `{id}` stands for one segment.
    pub path: &'static str,
    /// The methods, as the `Allow` field has them.
    pub allow: &'static str,
    readers: &'static [(&'static str, Reader)],
}

/// Every resource.
pub const ROUTES: &[Route] = &[
    Route { path: "/me", allow: "GET, HEAD, POST", readers: &[("GET", me), ("POST", session)] },
    Route {
        path: "/me/state",
        allow: "GET, HEAD, POST, PUT",
        readers: &[("GET", |_| Ok(Operation::State)), ("POST", state), ("PUT", state)],
    },
    Route { path: "/me/devices", allow: "GET, HEAD", readers: &[("GET", |_| Ok(Operation::Devices))] },
    Route {
        path: "/me/devices/{id}",
        allow: "GET, HEAD",
        readers: &[("GET", |asked| Ok(Operation::Device(asked.id)))],
    },
    // What `uri` and `deviceUri` of a device say, as GWS has them; an agent sees its own alone.
    Route { path: "/devices/{id}", allow: "GET, HEAD", readers: &[("GET", |asked| Ok(Operation::Device(asked.id)))] },
    Route { path: "/me/devices/{id}/calls", allow: "POST", readers: &[("POST", dial)] },
    Route { path: "/me/channels", allow: "GET, HEAD", readers: &[("GET", |_| Ok(Operation::Channels))] },
    Route {
        path: "/me/channels/voice",
        allow: "GET, HEAD, POST, PUT",
        readers: &[("GET", |_| Ok(Operation::Voice)), ("POST", state), ("PUT", state)],
    },
    Route {
        path: "/me/calls",
        allow: "GET, HEAD, POST",
        readers: &[("GET", |_| Ok(Operation::Calls)), ("POST", dial)],
    },
    Route {
        path: "/me/calls/{id}",
        allow: "GET, HEAD, POST, PUT",
        readers: &[("GET", |asked| Ok(Operation::Call(asked.id))), ("POST", on_call), ("PUT", on_call)],
    },
    Route { path: "/me/calls/{id}/answer", allow: "POST", readers: &[("POST", |a| a.simple(CallOperation::Answer))] },
    Route { path: "/me/calls/{id}/hold", allow: "POST", readers: &[("POST", |a| a.simple(CallOperation::Hold))] },
    Route {
        path: "/me/calls/{id}/retrieve",
        allow: "POST",
        readers: &[("POST", |a| a.simple(CallOperation::Retrieve))],
    },
    Route { path: "/me/calls/{id}/release", allow: "POST", readers: &[("POST", |a| a.simple(CallOperation::Hangup))] },
    Route { path: "/me/calls/{id}/dtmf", allow: "POST", readers: &[("POST", |a| a.on_call("SendDtmf"))] },
    Route { path: "/me/calls/{id}/transfer", allow: "POST", readers: &[("POST", |a| a.third_party(&TRANSFERS))] },
    Route { path: "/me/calls/{id}/conference", allow: "POST", readers: &[("POST", |a| a.third_party(&CONFERENCES))] },
];

/// What `type` of the guide's transfer may be, in this order: at once, with a consultation first, after one.
const KINDS: [&str; 3] = ["blind", "consult", "complete"];
const TRANSFERS: [&str; 3] = ["SingleStepTransfer", "InitiateTransfer", "CompleteTransfer"];
const CONFERENCES: [&str; 3] = ["SingleStepConference", "InitiateConference", "CompleteConference"];

/// Reads a request.
///
/// # Errors
/// [`Refusal::NoResource`], [`Refusal::Method`], [`Refusal::TooLarge`], [`Refusal::MediaType`], [`Refusal::Malformed`],
/// [`Refusal::Missing`] or [`Refusal::Invalid`]; whether it suits the state of things is for the desk to say.
pub fn read(request: &Request<'_>) -> Result<Operation, Refusal> {
    let found = ROUTES.iter().find_map(|route| Some((route, matched(route.path, request.path)?)));
    let (route, id) = found.ok_or(Refusal::NoResource)?;
    let method = if request.method == "HEAD" { "GET" } else { request.method };
    let reader = route.readers.iter().find(|(name, _)| *name == method);
    let (_, reader) = reader.ok_or(Refusal::Method(route.allow))?;
    let fields = match method {
        "GET" => Fields::default(),
        _ => Fields::read(request.content_type, request.body)?,
    };
    reader(Asked { id, query: request.query, fields })
}

/// Returns what stands for `{id}`, if the path is of this kind. A slash at the end does no harm.
fn matched(pattern: &str, path: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut id = String::new();
    let mut segments = path.split('/');
    for part in pattern.split('/') {
        let segment = segments.next()?;
        if part == "{id}" {
            id = decode(segment).filter(|id| !id.is_empty() && id.chars().count() <= MAX_NAME)?;
        } else if part != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(id)
}

fn me(asked: Asked<'_>) -> Result<Operation, Refusal> {
    const ALLOWED: Refusal =
        Refusal::Invalid { name: "subresources", why: "devices, channels and calls are allowed, or *" };
    let mut shown = Subresources::default();
    let values = asked.query.split('&').filter_map(|pair| pair.strip_prefix("subresources="));
    for value in values {
        for name in decode(value).ok_or(ALLOWED)?.split(',') {
            match name.trim() {
                "devices" => shown.devices = true,
                "channels" => shown.channels = true,
                "calls" => shown.calls = true,
                "*" => shown = Subresources { devices: true, channels: true, calls: true },
                _ => return Err(ALLOWED),
            }
        }
    }
    Ok(Operation::Me(shown))
}

fn session(asked: Asked<'_>) -> Result<Operation, Refusal> {
    const ALLOWED: &str = "StartContactCenterSession and EndContactCenterSession are allowed";
    match asked.fields.operation()?.as_str() {
        "startcontactcentersession" => {
            let other = asked.fields.number("phoneNumber")?;
            let dn = asked.fields.number("dn")?.or(other);
            Ok(Operation::StartSession { channels: asked.fields.names("channels")?, dn })
        }
        "endcontactcentersession" => Ok(Operation::EndSession),
        _ => Err(Refusal::Invalid { name: "operationName", why: ALLOWED }),
    }
}

fn state(asked: Asked<'_>) -> Result<Operation, Refusal> {
    const ALLOWED: &str = "Ready, NotReady, AfterCallWork and LoggedOut are allowed";
    let fields = &asked.fields;
    let name = match fields.text("state")? {
        Some(state) => state.to_ascii_lowercase(),
        None if !fields.has_operation() => return Err(Refusal::Missing("state")),
        None => fields.operation()?,
    };
    let (reason, other) = (fields.reason()?, fields.text("workMode")?);
    let work_mode = fields.text("workmode")?.or(other).unwrap_or_default();
    match name.as_str() {
        "ready" => Ok(Operation::Ready),
        "notready" if work_mode.eq_ignore_ascii_case("AfterCallWork") => Ok(Operation::AfterCallWork),
        "notready" => Ok(Operation::NotReady { reason }),
        "aftercallwork" => Ok(Operation::AfterCallWork),
        "loggedout" => Ok(Operation::LoggedOut),
        _ => Err(Refusal::Invalid { name: "state", why: ALLOWED }),
    }
}

fn dial(mut asked: Asked<'_>) -> Result<Operation, Refusal> {
    if asked.fields.has_operation() && asked.fields.operation()? != "dial" {
        return Err(Refusal::Invalid { name: "operationName", why: "Dial is allowed" });
    }
    let to = asked.fields.destination()?;
    let user_data = asked.fields.user_data()?.unwrap_or_default();
    let device = asked.fields.number("device")?;
    let from = if asked.id.is_empty() { device } else { Some(asked.id) };
    Ok(Operation::Dial { to, user_data, from })
}

fn on_call(asked: Asked<'_>) -> Result<Operation, Refusal> {
    let name = asked.fields.operation()?;
    asked.on_call(&name)
}

impl Asked<'_> {
    fn simple(self, operation: CallOperation) -> Result<Operation, Refusal> {
        Ok(Operation::OnCall(self.id, operation))
    }

    /// The guide's words for transfers and conferences; without `type` it is done at once.
    fn third_party(self, names: &[&'static str; 3]) -> Result<Operation, Refusal> {
        let kind = self.fields.text("type")?.unwrap_or(KINDS[0]);
        let name = KINDS.iter().zip(names).find(|(word, _)| word.eq_ignore_ascii_case(kind)).map(|(_, name)| *name);
        self.on_call(name.ok_or(Refusal::Invalid { name: "type", why: "blind, consult and complete are allowed" })?)
    }

    fn on_call(mut self, name: &str) -> Result<Operation, Refusal> {
        let fields = &mut self.fields;
        let operation = match name.to_ascii_lowercase().as_str() {
            "answer" => CallOperation::Answer,
            "hangup" | "release" => CallOperation::Hangup,
            "hold" => CallOperation::Hold,
            "retrieve" => CallOperation::Retrieve,
            "senddtmf" | "dtmf" => CallOperation::SendDtmf { digits: fields.digits()? },
            "singlesteptransfer" | "transfer" => CallOperation::SingleStepTransfer { to: fields.destination()? },
            "initiatetransfer" => {
                let user_data = fields.user_data()?.unwrap_or_default();
                CallOperation::InitiateTransfer { to: fields.destination()?, user_data }
            }
            "completetransfer" => CallOperation::CompleteTransfer { with: fields.consultation()? },
            "singlestepconference" => CallOperation::SingleStepConference { to: fields.destination()? },
            "initiateconference" | "conference" => {
                let user_data = fields.user_data()?.unwrap_or_default();
                CallOperation::InitiateConference { to: fields.destination()?, user_data }
            }
            "completeconference" => CallOperation::CompleteConference { with: fields.consultation()? },
            "swapcalls" => CallOperation::SwapCalls { with: fields.consultation()? },
            "attachuserdata" => CallOperation::AttachUserData(fields.some_user_data()?),
            "updateuserdata" => CallOperation::UpdateUserData(fields.some_user_data()?),
            "deleteuserdata" => CallOperation::DeleteUserData,
            "deleteuserdatapair" => CallOperation::DeleteUserDataPair { key: fields.key()? },
            "clearcall" => CallOperation::ClearCall,
            _ => return Err(Refusal::Invalid { name: "operationName", why: "no operation of calls has this name" }),
        };
        Ok(Operation::OnCall(self.id, operation))
    }
}
