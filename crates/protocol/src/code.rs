//! The closed list of error codes, each with its HTTP status (REST facts §29).
//!
//! Applications branch on the number, so a number is never made up: a new situation takes the
//! documented code that fits. Where the documentation leaves the status open, it is decided here once.

macro_rules! codes {
    ($($variant:ident = $number:literal, $status:literal, $title:literal;)*) => {
        /// An error code with its number, HTTP status and short title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }
        impl Code {
            /// Every code, in the order of this file.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];
            /// The number on the wire.
            pub const fn number(self) -> u32 {
                match self { $(Code::$variant => $number,)* }
            }
            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }
            /// A few words for messages that have nothing better to say.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }
        }
    };
}

codes! {
    ParameterInvalid = 20001, 400, "A parameter is missing or malformed";
    NotAuthenticated = 20003, 401, "The credentials are missing or wrong";
    MethodNotAllowed = 20004, 405, "The path exists, but not with this method";
    AccountNotActive = 20005, 401, "The account is suspended or closed";
    AccessDenied = 20006, 403, "The credentials do not allow this";
    TokenInvalid = 20101, 401, "Not an Access Token";
    TokenHeader = 20102, 401, "The Access Token's header is wrong";
    TokenIssuer = 20103, 401, "The Access Token's API key or account is not usable";
    TokenExpired = 20104, 401, "The Access Token has expired";
    TokenNotYetValid = 20105, 401, "The Access Token is not valid yet";
    TokenGrants = 20106, 401, "The Access Token does not grant this";
    TokenSignature = 20107, 401, "The Access Token's signature does not match";
    TokenLifetime = 20157, 401, "The Access Token lives longer than 24 hours";
    Forbidden = 20403, 403, "Not allowed";
    NotFound = 20404, 404, "Not found";
    Conflict = 20409, 409, "The request clashes with another";
    TooLarge = 20413, 413, "The request is too large";
    TooManyRequests = 20429, 429, "Too Many Requests";
    Internal = 20500, 500, "Internal error";
    Unavailable = 20503, 503, "Temporarily unavailable, try again";
    FriendlyNameMissing = 50000, 400, "Friendly name missing";
    FriendlyNameTooLong = 50003, 400, "Friendly name too long";
    UniqueNameTooLong = 50004, 400, "Unique name too long";
    ServiceNotFound = 50050, 404, "Chat service not found";
    RoleNotFound = 50100, 400, "Role not found";
    PermissionUnknown = 50104, 400, "Permission unknown";
    RoleTypeInvalid = 50105, 400, "Role type invalid";
    UserUnauthorized = 50107, 403, "The user's roles do not allow this";
    ConversationRoleNotFound = 50109, 400, "Conversation role not found";
    ServiceRoleNotFound = 50102, 400, "Service role not found";
    UserNotFound = 50200, 404, "User not found";
    UserExists = 50201, 409, "User already exists";
    IdentityReserved = 50203, 400, "Identity is reserved";
    IdentityMissing = 50204, 400, "Identity missing";
    IdentityLooksLikeSid = 50206, 400, "Identity looks like a SID";
    IdentityTooLong = 50207, 400, "Identity too long";
    TooManyConversations = 50208, 400, "The user is in too many conversations";
    NotificationLevelInvalid = 50210, 400, "Notification level invalid";
    IdentityNotAcceptable = 50211, 400, "Identity not acceptable here";
    AttributesTooLong = 50303, 400, "Attributes too long";
    AttributesInvalid = 50304, 400, "Attributes are not JSON";
    DateCreatedInvalid = 50308, 400, "DateCreated invalid";
    DateUpdatedInvalid = 50309, 400, "DateUpdated invalid";
    AuthorTooLong = 50310, 400, "Author too long";
    MessagingServiceInvalid = 50341, 400, "Messaging service SID invalid";
    ConversationNotFound = 50350, 404, "Conversation not found";
    UniqueNameTaken = 50353, 409, "Conversation with provided unique name already exists";
    StateEmpty = 50374, 400, "State is empty";
    InactiveTimerTooShort = 50375, 400, "The inactive timer is under one minute";
    ClosedTimerTooShort = 50376, 400, "The closed timer is under ten minutes";
    ConversationClosed = 50377, 400, "The conversation is closed";
    StateInvalid = 50378, 400, "State invalid";
    InactiveTimerInvalid = 50379, 400, "The inactive timer is not an ISO 8601 duration";
    ClosedTimerInvalid = 50380, 400, "The closed timer is not an ISO 8601 duration";
    ClosedAtCreation = 50384, 400, "A conversation cannot be created closed";
    UniqueNameLooksLikeSid = 50390, 400, "Unique name looks like a SID";
    EndBeforeStart = 50396, 400, "EndDate before StartDate";
    LastReadIndexInvalid = 50421, 400, "Last read message index invalid";
    LastReadTimeInvalid = 50405, 400, "Last read time invalid";
    AddressInvalid = 50407, 400, "Messaging binding address invalid";
    ProxyAddressInvalid = 50408, 400, "Messaging binding proxy address invalid";
    AddressesEqual = 50409, 400, "Address and proxy address are equal";
    AddressMissing = 50411, 400, "Messaging binding address missing";
    ProxyAddressMissing = 50412, 400, "Messaging binding proxy address missing";
    BindingTypesDiffer = 50414, 400, "Address and proxy address are of different types";
    BindingTaken = 50416, 409, "The address pair is already used";
    TooManyParticipants = 50417, 400, "Too many participants";
    TooManyNonChatParticipants = 50418, 400, "Too many non-chat participants";
    ParticipantNotFound = 50432, 404, "Participant not found";
    NotAParticipant = 50430, 403, "The user is not a participant";
    ParticipantExists = 50433, 409, "Participant already exists";
    ProxyAddressRemoval = 50440, 400, "The proxy address cannot be removed";
    ProxyAddressUnexpected = 50441, 400, "The participant has no address for a proxy address";
    ProjectedAddressRemoval = 50442, 400, "There is no projected address to remove";
    ProjectedAddressUnexpected = 50443, 400, "The participant has a binding already";
    IdentityUpdate = 50444, 400, "The identity cannot be changed";
    IdentityAndAddress = 50451, 400, "Identity and Address are both given";
    MessageNotFound = 50500, 404, "Message not found";
    BodyMissing = 50503, 400, "Message body missing";
    BodyTooLong = 50504, 400, "Message body too long";
    MediaNotFound = 50507, 400, "Media not found";
    ContentSidInvalid = 50526, 400, "Invalid content SID";
    ContentSidMissing = 50528, 400, "Content SID is missing";
    MetadataNotFound = 50530, 404, "No channel metadata";
    DocumentNotFound = 54100, 404, "Document not found";
    ListNotFound = 54150, 404, "List not found";
    MapNotFound = 54200, 404, "Map not found";
    PageInvalid = 70002, 400, "Page and PageToken do not go together";
}

/// The page about a number, in the closed list or not.
pub fn more_info(number: u32) -> String {
    format!("https://www.twilio.com/docs/errors/{number}")
}

impl Code {
    /// The page a reply's `more_info` points to.
    pub fn more_info(self) -> String {
        more_info(self.number())
    }

    /// The code with this number, for numbers that come from the token crate.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice() {
        let mut numbers: Vec<u32> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
    }
}
