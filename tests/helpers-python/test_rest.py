"""The REST API through the official library."""

import datetime
import json
import unittest

from twilio.base.exceptions import TwilioException

from local import LocalTestCase


def nobody(prefix):
    return prefix + "0" * 32


class Conversations(LocalTestCase):
    def assertRecent(self, date):
        # The library hands back text where a date has not exactly its form.
        self.assertIsInstance(date, datetime.datetime)
        self.assertLess(abs((datetime.datetime.now(datetime.timezone.utc) - date).total_seconds()), 60)

    def test_create_fetch_update_delete(self):
        made = self.chat.conversations.create(friendly_name="Tertulia ☕", unique_name="ümläut", attributes='{"a":  1}')
        self.assertSid("CH", made.sid)
        self.assertEqual(
            (made.account_sid, made.chat_service_sid, made.friendly_name, made.unique_name, made.attributes, made.state),
            (self.server.account, self.server.service, "Tertulia ☕", "ümläut", '{"a":  1}', "active"),
        )
        self.assertRecent(made.date_created)
        self.assertRecent(made.date_updated)
        self.assertTrue(made.url.startswith(self.server.url))
        updated = made.update(friendly_name="after", unique_name="simple", state="inactive")
        self.assertEqual((updated.friendly_name, updated.unique_name, updated.state), ("after", "simple", "inactive"))
        for name in (made.sid, "simple"):
            self.assertEqual(self.chat.conversations(name).fetch().sid, made.sid)
        self.assertTrue(self.chat.conversations("simple").delete())
        self.assertRefused(404, 20404, self.chat.conversations(made.sid).fetch)

    def test_listed_over_several_pages(self):
        made = {self.chat.conversations.create(friendly_name=f"number {n}").sid for n in range(12)}
        client = self.library()
        chat = client.conversations.v1
        listed = [one.sid for one in chat.conversations.list(page_size=5)]
        self.assertEqual((len(listed), set(listed)), (12, made))
        self.assertEqual(len(client.http_client.requests), 3)
        self.assertEqual(len(chat.conversations.list(limit=7, page_size=5)), 7)
        self.assertEqual(len(chat.conversations.list(limit=500)), 12)
        self.assertEqual({one.sid for one in chat.conversations.stream(page_size=5)}, made)
        self.assertEqual(chat.conversations.list(state="closed"), [])
        first = chat.conversations.page(page_size=5)
        second = first.next_page()
        back = second.previous_page()
        self.assertEqual([one.sid for one in back], listed[:5])

    def test_refusals_have_the_documented_codes(self):
        conversations = self.chat.conversations
        made = conversations.create(unique_name="taken")
        self.assertRefused(409, 50353, conversations.create, unique_name="taken")
        self.assertRefused(400, 50304, conversations.create, attributes="{broken")
        self.assertRefused(400, 50303, conversations.create, attributes=json.dumps("x" * 16_384))
        self.assertRefused(400, 50003, conversations.create, friendly_name="x" * 257)
        self.assertRefused(400, 50390, conversations.create, unique_name=made.sid)
        self.assertRefused(400, 50378, made.update, state="asleep")
        error = self.assertRefused(404, 20404, conversations(nobody("CH")).fetch)
        self.assertIn(f"/Conversations/{nobody('CH')}", error.msg)
        self.assertEqual(error.method, "GET")
        self.assertRefused(404, 20404, conversations(nobody("CH")).delete)

    def test_wrong_credentials_are_401(self):
        for username, password in (
            (self.server.account, "wrong"),
            ("AC" + "9" * 32, self.server.auth_token),
            (self.server.key, self.server.auth_token),
            ("SK" + "9" * 32, self.server.secret),
        ):
            chat = self.library(username, password).conversations.v1
            self.assertRefused(401, 20003, chat.conversations.create)
            # Of a refused page the library makes another error, with the answer as text.
            with self.assertRaisesRegex(TwilioException, r'HTTP 401 .*"code":\s*20003'):
                chat.conversations.list()
        self.assertEqual(self.library(self.server.key, self.server.secret).conversations.v1.conversations.list(), [])

    def test_booleans_and_dates_as_the_library_writes_them(self):
        created = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
        made = self.chat.conversations.create(date_created=created, x_twilio_webhook_enabled="true")
        self.assertEqual(made.date_created, created)
        configuration = self.chat.services(self.server.service).configuration()
        self.assertIs(configuration.update(reachability_enabled=True).reachability_enabled, True)
        self.assertIs(configuration.update(reachability_enabled=False).reachability_enabled, False)


class Participants(LocalTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = self.chat.conversations.create()
        self.participants = self.conversation.participants

    def test_create_fetch_list_update_delete(self):
        made = self.participants.create(identity="user@some-domain.com", attributes='{"seat":1}')
        self.assertSid("MB", made.sid)
        self.assertEqual(
            (made.conversation_sid, made.identity, made.attributes, made.messaging_binding, made.last_read_message_index),
            (self.conversation.sid, "user@some-domain.com", '{"seat":1}', None, None),
        )
        for name in (made.sid, "user@some-domain.com"):
            self.assertEqual(self.participants(name).fetch().sid, made.sid)
        for n in range(4):
            self.participants.create(identity=f"p{n}")
        listed = sorted(one.identity for one in self.participants.list(page_size=2))
        self.assertEqual(listed, ["p0", "p1", "p2", "p3", "user@some-domain.com"])
        self.conversation.messages.create(body="zero")
        updated = self.participants(made.sid).update(last_read_message_index=0, attributes="{}")
        self.assertEqual((updated.last_read_message_index, updated.attributes), (0, "{}"))
        self.assertTrue(self.participants(made.sid).delete())
        self.assertRefused(404, 20404, self.participants(made.sid).fetch)
        self.assertEqual(len(self.participants.list()), 4)

    def test_refusals_have_the_documented_codes(self):
        self.participants.create(identity="alice")
        self.assertRefused(409, 50433, self.participants.create, identity="alice")
        self.assertRefused(400, 50207, self.participants.create, identity="x" * 257)
        self.assertRefused(400, 50304, self.participants.create, identity="bob", attributes="x")
        self.assertRefused(404, 20404, self.participants(nobody("MB")).delete)
        self.assertEqual(len(self.participants.list()), 1)


class Messages(LocalTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = self.chat.conversations.create()
        self.messages = self.conversation.messages

    def test_create_fetch_update_delete(self):
        alice = self.conversation.participants.create(identity="alice")
        made = self.messages.create(author="alice", body="Grüße 👋\r\n+&=%", attributes='{"n": 1}')
        self.assertSid("IM", made.sid)
        self.assertEqual(
            (made.index, made.author, made.body, made.attributes, made.participant_sid),
            (0, "alice", "Grüße 👋\r\n+&=%", '{"n": 1}', alice.sid),
        )
        self.assertEqual((made.media, made.delivery, made.content_sid), (None, None, None))
        system = self.messages.create(body="by nobody")
        self.assertEqual((system.index, system.author, system.participant_sid), (1, "system", None))
        updated = self.messages(made.sid).update(body="after", attributes="{}")
        self.assertEqual((updated.body, updated.attributes, updated.author), ("after", "{}", "alice"))
        self.assertEqual(self.messages(made.sid).fetch().body, "after")
        self.assertTrue(self.messages(made.sid).delete())
        self.assertRefused(404, 20404, self.messages(made.sid).fetch)
        self.assertEqual(self.messages.create(body="next").index, 2)

    def test_listed_in_both_orders_over_pages(self):
        up = [f"number {n}" for n in range(11)]
        for body in up:
            self.messages.create(body=body)
        self.assertEqual([one.body for one in self.messages.list(page_size=4)], up)
        self.assertEqual([one.body for one in self.messages.list(order="desc", page_size=4)], up[::-1])
        self.assertEqual([one.body for one in self.messages.list(order="desc", limit=3)], up[:-4:-1])

    def test_refusals_have_the_documented_codes(self):
        self.assertRefused(400, 50504, self.messages.create, body="x" * 32_769)
        self.assertRefused(400, 50304, self.messages.create, body="x", attributes="[")
        self.assertRefused(400, 50303, self.messages.create, body="x", attributes=json.dumps("x" * 4096))
        self.assertRefused(400, 50503, self.messages.create)
        self.assertEqual(self.messages.create(body="x" * 32_768).index, 0)
        self.conversation.update(state="closed")
        self.assertRefused(400, 50377, self.messages.create, body="x")


class Users(LocalTestCase):
    def test_create_fetch_list_update_delete(self):
        made = self.chat.users.create(identity="user@some-domain.com", friendly_name="U", attributes='{"a":1}')
        self.assertSid("US", made.sid)
        self.assertEqual(
            (made.identity, made.friendly_name, made.attributes, made.is_online, made.is_notifiable),
            ("user@some-domain.com", "U", '{"a":1}', None, None),
        )
        for name in (made.sid, "user@some-domain.com"):
            self.assertEqual(self.chat.users(name).fetch().sid, made.sid)
        self.assertEqual(self.chat.users(made.sid).update(friendly_name="V").friendly_name, "V")
        for n in range(5):
            self.chat.users.create(identity=f"u{n}")
        identities = [one.identity for one in self.chat.users.list(page_size=2)]
        self.assertTrue({"user@some-domain.com", "u0", "u4"} <= set(identities), identities)
        self.assertEqual(len(set(identities)), len(identities))
        self.assertRefused(409, 50201, self.chat.users.create, identity="u0")
        self.assertTrue(self.chat.users(made.sid).delete())
        self.assertRefused(404, 20404, self.chat.users(made.sid).fetch)

    def test_their_conversations_are_listed_and_changed(self):
        made = self.chat.conversations.create(friendly_name="f")
        made.participants.create(identity="alice")
        for n in range(3):
            made.messages.create(body=str(n))
        (own,) = self.chat.users("alice").user_conversations.list()
        self.assertEqual(
            (own.conversation_sid, own.friendly_name, own.unread_messages_count, own.notification_level),
            (made.sid, "f", None, "default"),
        )
        updated = self.chat.users("alice").user_conversations(made.sid).update(
            last_read_message_index=0, notification_level="muted"
        )
        self.assertEqual((updated.unread_messages_count, updated.notification_level), (2, "muted"))
        self.assertTrue(self.chat.users("alice").user_conversations(made.sid).delete())
        self.assertEqual(made.participants.list(), [])


class ServicesRolesKeys(LocalTestCase):
    def test_services(self):
        made = self.chat.services.create(friendly_name="second ☕")
        self.assertSid("IS", made.sid)
        self.assertEqual(self.chat.services(made.sid).fetch().friendly_name, "second ☕")
        self.assertEqual(
            {one.sid for one in self.chat.services.list(page_size=1)}, {made.sid, self.server.service}
        )
        here = self.chat.conversations.create(unique_name="same")
        there = self.chat.services(made.sid).conversations.create(unique_name="same")
        self.assertNotEqual(here.sid, there.sid)
        self.assertRefused(404, 20404, self.chat.conversations(there.sid).fetch)
        self.assertTrue(self.chat.services(made.sid).delete())
        self.assertRefused(404, 20404, self.chat.services(made.sid).fetch)

    def test_configurations(self):
        account = self.chat.configuration().fetch()
        self.assertEqual(account.default_chat_service_sid, self.server.service)
        configuration = self.chat.services(self.server.service).configuration()
        role = self.chat.roles.create(friendly_name="talker", type="conversation", permission=["sendMessage"])
        updated = configuration.update(default_conversation_role_sid=role.sid)
        self.assertEqual(updated.default_conversation_role_sid, role.sid)
        made = self.chat.conversations.create()
        self.assertEqual(made.participants.create(identity="alice").role_sid, role.sid)

    def test_roles(self):
        names = sorted(role.friendly_name for role in self.chat.roles.list(page_size=2))
        self.assertEqual(names, ["channel admin", "channel user", "service admin", "service user"])
        made = self.chat.roles.create(
            friendly_name="quiet", type="conversation", permission=["leaveConversation", "sendMessage"]
        )
        self.assertSid("RL", made.sid)
        self.assertEqual((made.type, sorted(made.permissions)), ("conversation", ["leaveConversation", "sendMessage"]))
        self.assertEqual(made.update(permission=["sendMessage"]).permissions, ["sendMessage"])
        self.assertTrue(self.chat.roles(made.sid).delete())
        self.assertRefused(404, 20404, self.chat.roles(made.sid).fetch)
        self.assertRefused(
            400, 50104, self.chat.roles.create, friendly_name="x", type="conversation", permission=["fly"]
        )

    def test_keys(self):
        made = self.client.new_keys.create(friendly_name="a key")
        self.assertSid("SK", made.sid)
        self.assertEqual(len(made.secret), 32)
        self.assertIsInstance(made.date_created, datetime.datetime)
        fetched = self.client.keys(made.sid).fetch()
        self.assertEqual((fetched.friendly_name, hasattr(fetched, "secret")), ("a key", False))
        self.assertEqual(self.client.keys(made.sid).update(friendly_name="renamed").friendly_name, "renamed")
        for _ in range(4):
            self.client.new_keys.create()
        listed = [one.sid for one in self.client.keys.list(page_size=2)]
        self.assertEqual(len(set(listed)), len(listed))
        self.assertGreaterEqual(len(listed), 5)
        self.assertIn(made.sid, listed)
        as_key = self.library(made.sid, made.secret).conversations.v1
        self.assertSid("CH", as_key.conversations.create().sid)
        self.assertTrue(self.client.keys(made.sid).delete())
        self.assertRefused(404, 20404, self.client.keys(made.sid).fetch)
        self.assertRefused(401, 20003, as_key.conversations.create)


if __name__ == "__main__":
    unittest.main()
