"""PyPI atproto: app passwords, mailed codes, preferences, deletion and the operator's word.

Addresses come from the environment, set by `cargo xtask test`: PDS_URL, ADMIN_PASSWORD.
"""

import json
import os
import re
import secrets
import time
import unittest
import urllib.request

from atproto import Client, models
from atproto.exceptions import AtProtocolError, BadRequestError, UnauthorizedError

PDS_URL = os.environ['PDS_URL'].rstrip('/')
PASSWORD = 'correct horse battery'
PATIENCE_SECS = 30


def sign_up(prefix: str) -> tuple[Client, str, str]:
    """A signed-in client, its handle and its address."""
    name = prefix + secrets.token_hex(5)
    handle, email = f'{name}.test', f'{name}@mail.com'
    client = Client(PDS_URL)
    client.com.atproto.server.create_account(
        models.ComAtprotoServerCreateAccount.Data(handle=handle, email=email, password=PASSWORD)
    )
    client.login(handle, PASSWORD, fetch_bsky_profile=False)
    return client, handle, email


def sign_in(handle: str, password: str) -> Client:
    client = Client(PDS_URL)
    client.login(handle, password, fetch_bsky_profile=False)
    return client


def code(address: str, subject: str) -> str:
    """The code in the newest letter to an address."""
    end = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < end:
        with urllib.request.urlopen(f'{PDS_URL}/dev/mail?format=json') as reply:
            messages = json.load(reply)['messages']
        for message in messages:
            if message['to'] == address and message['subject'] == subject:
                return re.search('[A-Z2-7]{5}-[A-Z2-7]{5}', message['text'])[0]
        time.sleep(0.05)
    raise AssertionError(f'no letter {subject!r} to {address} came')


class Accounts(unittest.TestCase):
    def test_an_app_password_signs_in_until_it_is_revoked(self):
        owner, handle, _ = sign_up('pya')
        made = owner.com.atproto.server.create_app_password({'name': 'laptop'})
        app = sign_in(handle, made.password)
        app.com.atproto.repo.create_record(
            {
                'repo': app.me.did if app.me else owner._session.did,
                'collection': 'com.example.note',
                'record': {'$type': 'com.example.note', 'text': 'from an app'},
            }
        )
        names = [password.name for password in owner.com.atproto.server.list_app_passwords().passwords]
        self.assertEqual(names, ['laptop'])
        with self.assertRaises(BadRequestError):
            app.com.atproto.server.create_app_password({'name': 'another'})
        owner.com.atproto.server.revoke_app_password({'name': 'laptop'})
        with self.assertRaises(UnauthorizedError):
            sign_in(handle, made.password)

    def test_a_forgotten_password_is_reset(self):
        _, handle, email = sign_up('pyr')
        anybody = Client(PDS_URL)
        anybody.com.atproto.server.request_password_reset({'email': email})
        token = code(email, 'Password Reset Requested')
        anybody.com.atproto.server.reset_password({'token': token, 'password': 'another battery'})
        with self.assertRaises(UnauthorizedError):
            sign_in(handle, PASSWORD)
        sign_in(handle, 'another battery')

    def test_an_address_is_confirmed(self):
        client, _, email = sign_up('pyc')
        client.com.atproto.server.request_email_confirmation()
        token = code(email, 'Email Confirmation')
        client.com.atproto.server.confirm_email({'email': email, 'token': token})
        self.assertTrue(client.com.atproto.server.get_session().email_confirmed)

    def test_an_account_is_deleted(self):
        client, handle, email = sign_up('pyd')
        did = client.com.atproto.server.get_session().did
        client.com.atproto.server.request_account_delete()
        token = code(email, 'Account Deletion Requested')
        client.com.atproto.server.delete_account({'did': did, 'password': PASSWORD, 'token': token})
        with self.assertRaises(AtProtocolError):
            sign_in(handle, PASSWORD)

    def test_a_service_token_is_made(self):
        client, _, _ = sign_up('pys')
        answer = client.com.atproto.server.get_service_auth(
            {'aud': 'did:web:api.example.com', 'lxm': 'app.bsky.feed.getTimeline'}
        )
        self.assertEqual(answer.token.count('.'), 2)

    def test_preferences_are_kept(self):
        client, _, _ = sign_up('pyp')
        wanted = models.AppBskyActorDefs.InterestsPref(tags=['moving'])
        client.app.bsky.actor.put_preferences({'preferences': [wanted]})
        kept = client.app.bsky.actor.get_preferences().preferences
        self.assertEqual([preference.tags for preference in kept], [['moving']])

    def test_whoever_is_in_does_not_wait(self):
        client, _, _ = sign_up('pyq')
        self.assertTrue(client.com.atproto.temp.check_signup_queue().activated)

    def test_a_did_web_is_made_and_moves_with_its_handle(self):
        name = 'pyw' + secrets.token_hex(5)
        handle, did = f'{name}.test', f'did:web:{name}.test'
        client = Client(PDS_URL)
        made = client.com.atproto.server.create_account(
            {'handle': handle, 'email': f'{name}@mail.com', 'password': PASSWORD, 'did': did}
        )
        self.assertEqual(made.did, did)
        client.login(handle, PASSWORD, fetch_bsky_profile=False)
        client.com.atproto.repo.create_record(
            {'repo': did, 'collection': 'com.example.note', 'record': {'$type': 'com.example.note', 'n': 1}}
        )
        client.com.atproto.identity.update_handle({'handle': f'{name}-new.test'})
        resolved = client.com.atproto.identity.resolve_identity({'identifier': did})
        self.assertEqual(resolved.handle, f'{name}-new.test')
