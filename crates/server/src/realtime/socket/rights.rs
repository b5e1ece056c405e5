//! Rights that have changed: what was opened by them is looked at again.

use super::Connection;
use crate::http::refuse;
use crate::platform::Surface;
use crate::realtime::hub::Post;
use crate::realtime::session::Input;

impl Connection {
    /// Rights may have changed. What was posted before is taken in before: it may have begun what ends now.
    pub(super) async fn look_again(&mut self) -> Result<(), ()> {
        while let Some(post) = self.mailbox.as_ref().and_then(|mailbox| mailbox.take_waiting()) {
            if post != Post::Rights {
                self.input(Input::Post(post)).await?;
            }
        }
        let Some(subscriber) = self.subscriber() else { return Ok(()) };
        match subscriber.look_again().await {
            Ok(None) => self.input(Input::UserGone).await,
            Ok(Some(lost)) => {
                for (stream, part) in lost {
                    self.input(Input::Cancelled(stream, part)).await?;
                }
                Ok(())
            }
            Err(error) => {
                // Better no connection than one that hears what it may not.
                refuse(&error, Surface::Sdk, "");
                Err(())
            }
        }
    }
}
