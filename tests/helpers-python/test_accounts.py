"""Accounts, API keys of every kind and auth tokens through the official library."""

import datetime
import unittest

from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import ChatGrant

from local import LocalTestCase
from test_tokens import Wire


def nobody(prefix):
    return prefix + "0" * 32


def allow(*permissions):
    return {"allow": [f"/twilio/conversations/{permission}" for permission in permissions]}


class AccountsTestCase(LocalTestCase):
    def as_account(self, account, secret=None):
        client = self.library(account.sid, secret or account.auth_token)
        client.account_sid = account.sid
        return client

    def as_key(self, key):
        return self.library(key.sid, key.secret)

    def token_status(self, key, account=None, service=None):
        """What the door says to a token that this key has signed."""
        token = AccessToken(account or self.server.account, key.sid, key.secret, identity="alice")
        token.add_grant(ChatGrant(service_sid=service or self.server.service))
        wire = Wire(self.server.env["TERTULIA_TWILSOCK_URI"])
        try:
            status = wire.init(token.to_jwt())
        finally:
            wire.close()
        return status["code"], status.get("errorCode")

    def managing(self, client):
        """What a Standard or Restricted key may not."""
        account, key = self.server.account, self.server.key
        return [
            client.api.v2010.accounts.list,
            client.api.v2010.accounts.create,
            client.api.v2010.accounts(account).fetch,
            lambda: client.api.v2010.accounts(account).update(friendly_name="mine"),
            client.new_keys.create,
            client.new_signing_keys.create,
            client.keys.list,
            client.keys(key).fetch,
            client.keys(key).delete,
            lambda: client.iam.v1.new_api_key.create(account_sid=account),
            lambda: client.iam.v1.get_api_keys.list(account_sid=account),
            client.iam.v1.api_key(key).fetch,
            client.iam.v1.api_key(key).delete,
            client.accounts.v1.secondary_auth_token().create,
            client.accounts.v1.auth_token_promotion().update,
        ]


class Accounts(AccountsTestCase):
    def test_fetched_renamed_and_listed_with_subaccounts(self):
        accounts = self.client.api.v2010.accounts
        own = accounts(self.server.account).fetch()
        self.assertEqual(
            (own.owner_account_sid, own.auth_token, own.status, own.type),
            (self.server.account, self.server.auth_token, "active", "Full"),
        )
        self.assertIsInstance(own.date_created, datetime.datetime)
        self.assertIn("keys", own.subresource_uris)
        self.assertEqual(accounts(own.sid).update(friendly_name="Café").friendly_name, "Café")
        made = [accounts.create(friendly_name=f"sub {n}") for n in range(3)]
        self.assertSid("AC", made[0].sid)
        self.assertEqual(made[0].owner_account_sid, own.sid)
        listed = [one.sid for one in accounts.list(page_size=2)]
        self.assertEqual(sorted(listed), sorted([own.sid, *(one.sid for one in made)]))
        self.assertEqual([one.sid for one in accounts.list(friendly_name="sub 1")], [made[1].sid])
        sub = self.as_account(made[0])
        self.assertEqual(sub.conversations.v1.conversations.create().account_sid, made[0].sid)
        self.assertEqual(self.chat.conversations.list(), [])
        self.assertRefused(403, 20006, sub.api.v2010.accounts.create)
        for other in (own.sid, made[1].sid, nobody("AC")):
            self.assertRefused(404, 20404, sub.api.v2010.accounts(other).fetch)
            self.assertRefused(404, 20404, sub.iam.v1.new_api_key.create, account_sid=other)
        key = accounts(made[0].sid).new_keys.create(friendly_name="from above")
        self.assertEqual([one.sid for one in sub.keys.list()], [key.sid])

    def test_suspended_and_closed_ones_are_refused_everywhere(self):
        made = self.client.api.v2010.accounts.create()
        above = self.client.api.v2010.accounts(made.sid)
        sub = self.as_account(made)
        key = sub.new_keys.create()
        service = sub.conversations.v1.configuration().fetch().default_chat_service_sid
        calls = [
            sub.conversations.v1.conversations.list,
            self.as_key(key).conversations.v1.conversations.create,
            sub.keys.list,
            sub.api.v2010.accounts(made.sid).fetch,
        ]
        self.assertRefused(403, 20006, lambda: sub.api.v2010.accounts(made.sid).update(status="suspended"))
        for status in ("suspended", "active", "closed"):
            self.assertEqual(above.update(status=status).status, status)
            for call in calls:
                if status == "active":
                    call()
                else:
                    self.assertRefused(401, 20005, call)
            expected = (200, None) if status == "active" else (401, 20103)
            self.assertEqual(self.token_status(key, made.sid, service), expected)
        self.assertRefused(400, 20001, lambda: above.update(status="active"))

    def test_auth_tokens_change_without_a_gap(self):
        made = self.client.api.v2010.accounts.create()
        sub = self.as_account(made)
        self.assertRefused(404, 20404, sub.accounts.v1.auth_token_promotion().update)
        self.assertRefused(404, 20404, sub.accounts.v1.secondary_auth_token().delete)
        secondary = sub.accounts.v1.secondary_auth_token().create()
        self.assertEqual(secondary.account_sid, made.sid)
        self.assertIsInstance(secondary.date_created, datetime.datetime)
        renewed = self.as_account(made, secondary.secondary_auth_token)
        for client in (sub, renewed):
            self.assertEqual(client.conversations.v1.conversations.list(), [])
        promoted = renewed.accounts.v1.auth_token_promotion().update()
        self.assertEqual((promoted.account_sid, promoted.auth_token), (made.sid, secondary.secondary_auth_token))
        self.assertRefused(401, 20003, sub.conversations.v1.conversations.list)
        unwanted = renewed.accounts.v1.secondary_auth_token().create()
        self.assertTrue(renewed.accounts.v1.secondary_auth_token().delete())
        self.assertRefused(401, 20003, self.as_account(made, unwanted.secondary_auth_token).keys.list)


class Keys(AccountsTestCase):
    def test_the_newer_form(self):
        iam, account = self.client.iam.v1, self.server.account
        made = iam.new_api_key.create(account_sid=account, friendly_name="a key ☕")
        self.assertSid("SK", made.sid)
        self.assertEqual((len(made.secret), made.friendly_name, made.policy), (32, "a key ☕", None))
        self.assertIsInstance(made.date_created, datetime.datetime)
        fetched = iam.api_key(made.sid).fetch()
        self.assertEqual((fetched.friendly_name, hasattr(fetched, "secret")), ("a key ☕", False))
        self.assertEqual(iam.api_key(made.sid).update(friendly_name="renamed").friendly_name, "renamed")
        policy = allow("messages/list")
        reader = iam.new_api_key.create(account_sid=account, key_type="restricted", policy=policy)
        self.assertEqual(iam.api_key(reader.sid).fetch().policy, policy)
        flags = {one.sid: one.flags for one in iam.get_api_keys.list(account_sid=account, page_size=2)}
        self.assertEqual((flags[made.sid], flags[reader.sid]), (["rest_api", "signing"], ["rest_api"]))
        self.assertTrue(iam.api_key(made.sid).delete())
        self.assertRefused(404, 20404, iam.api_key(made.sid).fetch)
        self.assertRefused(401, 20003, self.as_key(made).conversations.v1.conversations.list)
        for wrong in ({"key_type": "restricted"}, {"key_type": "main"}, {"policy": policy}):
            self.assertRefused(400, 20001, iam.new_api_key.create, account_sid=account, **wrong)

    def test_a_standard_key_manages_neither_accounts_nor_keys(self):
        standard = self.client.new_keys.create()
        client = self.as_key(standard)
        for call in self.managing(client):
            self.assertRefused(401, 20003, call)
        self.assertSid("CH", client.conversations.v1.conversations.create().sid)
        self.assertEqual(self.token_status(standard), (200, None))

    def test_a_restricted_key_does_what_its_policy_says_and_signs_no_tokens(self):
        iam = self.client.iam.v1
        policy = allow("conversations/read", "messages/list")
        made = iam.new_api_key.create(account_sid=self.server.account, key_type="restricted", policy=policy)
        client = self.as_key(made)
        room = client.conversations.v1.conversations(self.chat.conversations.create().sid)
        self.assertEqual(room.fetch().state, "active")
        self.assertEqual(room.messages.list(), [])
        beyond = [client.conversations.v1.conversations.list, room.delete, room.messages.create, room.participants.list]
        for call in [*self.managing(client), *beyond]:
            self.assertRefused(401, 20003, call)
        self.assertEqual(self.token_status(made), (401, 20103))
        iam.api_key(made.sid).update(policy=allow("roles/list"))
        self.assertEqual(len(client.conversations.v1.roles.list()), 4)
        self.assertRefused(401, 20003, room.fetch)


if __name__ == "__main__":
    unittest.main()
