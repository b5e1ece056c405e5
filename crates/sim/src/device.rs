//! A client's end of a connection: what happens is passed in, what the client wishes is done, and what it
//! claims is held against the store.

use bytes::Bytes;
use tertulia_protocol::client::{ServerPacket, SyncEntry, SyncPayload};
use tertulia_protocol::realtime::message_type;
use tertulia_protocol::sync::Object;

use crate::client::{Alarm, Claim, Fault, Wish};
use crate::world::{Event, Place, World};

impl World {
    /// Does what a client wishes.
    pub fn serve(&mut self, client: Place) {
        for wish in self.clients[client].0.wishes() {
            match wish {
                Wish::Send(packet) => self.send_to_server(client, packet),
                Wish::Connect(micros) => self.later(micros, Event::Connect(client)),
                Wish::Disconnect => self.hang_up(client),
                Wish::Wake(alarm, micros) => self.later(micros, Event::Wake(client, alarm)),
            }
        }
    }

    fn send_to_server(&mut self, client: Place, packet: Vec<u8>) {
        let Some(place) = self.clients[client].1 else { return };
        let arrives = self.arrival(self.connections[place].arrives.0);
        self.connections[place].arrives.0 = arrives;
        self.later(arrives - self.now, Event::ToServer(place, packet));
    }

    fn hang_up(&mut self, client: Place) {
        if let Some(place) = self.clients[client].1.take() {
            self.note(|_| format!("client {client}: hangs up connection {place}"));
            self.end(place);
        }
    }

    /// A packet is with the client, unless it went elsewhere meanwhile.
    pub fn to_client(&mut self, place: Place, packet: &Bytes) -> Result<(), Fault> {
        let client = self.connections[place].client;
        if self.clients[client].1 != Some(place) {
            return Ok(());
        }
        self.note(|_| format!("client {client}: gets {}", describe(packet)));
        let told = self.clients[client].0.packet(self.now, packet);
        self.after(client, told)
    }

    /// A client is woken.
    pub fn wake(&mut self, client: Place, alarm: Alarm) -> Result<(), Fault> {
        let told = self.clients[client].0.wake(self.now, alarm);
        self.after(client, told)
    }

    /// What follows whatever happened to a client.
    pub fn after(&mut self, client: Place, told: Result<(), Fault>) -> Result<(), Fault> {
        let name = self.clients[client].0.name();
        told.and_then(|()| self.judge(client)).map_err(|fault| format!("client {client} ({name}): {fault}"))?;
        self.serve(client);
        Ok(())
    }

    /// Decides what a client could not, without knowing the store.
    fn judge(&mut self, client: Place) -> Result<(), Fault> {
        let user = self.clients[client].0.user();
        for claim in self.clients[client].0.claims() {
            match claim {
                Claim::WasThere { room: sid, index, opened_at } => {
                    let messages = self.rows.room(sid).map(|room| &room.messages);
                    let came = messages.and_then(|messages| messages.get(usize::try_from(index).unwrap_or(0)));
                    if came.is_none_or(|message| message.created_pos > opened_at) {
                        return Err(format!("message {index} of {sid} was changed, and never told as new"));
                    }
                }
                Claim::IsBack { room: sid, end, told } => {
                    let rows = self.rows.room(sid).into_iter().flat_map(|room| &room.participants);
                    let mut later = rows.filter(|row| row.user == Some(user) && row.mine_created_pos > end);
                    if later.next().is_none() {
                        return Err(format!("{told}, after the right to read it was lost"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A packet, for people.
fn describe(packet: &[u8]) -> String {
    let (kind, payload) = match ServerPacket::parse(packet) {
        Ok(ServerPacket::Notification { message_type: kind, payload, .. }) => (kind, payload),
        Ok(ServerPacket::Reply { id, http_status, .. }) => return format!("a reply to {id}, {http_status:?}"),
        other => return format!("{other:?}"),
    };
    let Ok(told) = serde_json::from_slice::<SyncPayload<'_>>(payload) else { return "?".to_owned() };
    let way = if kind == message_type::SYNC { "" } else { "live " };
    let one = |entry: &SyncEntry<'_>| {
        let item = entry.item_key.as_deref().map(str::to_owned).or(entry.item_index.map(|index| index.to_string()));
        let position = entry.last_event_id.unwrap_or(entry.id);
        let status = entry.replay_status.as_deref().unwrap_or_default();
        let object = Object::parse(&entry.object_sid).map(|object| object.name());
        format!("{} {} at {position} {status}", object.unwrap_or_default(), item.unwrap_or_default())
    };
    let all: Vec<String> = told.events.iter().map(one).collect();
    format!("{way}{:?} {}", told.event_type, all.join(", "))
}
