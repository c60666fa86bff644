"""PyPI atproto: com.atproto.server.create_account with every field of its model, and login.

Addresses come from the environment, set by `cargo xtask test`: PDS_URL, PLC_URL, ADMIN_PASSWORD.
"""

import base64
import os
import secrets
import unittest
import warnings

import httpx
from atproto import Client, models
from atproto.exceptions import BadRequestError, UnauthorizedError

from identity import Keypair, cid_of, did_of, operation, service_token

PDS_URL = os.environ['PDS_URL'].rstrip('/')
PLC_URL = os.environ['PLC_URL'].rstrip('/')
ADMIN_PASSWORD = os.environ['ADMIN_PASSWORD']
METHOD = 'com.atproto.server.createAccount'
PASSWORD = 'correct horse battery'


def fresh(prefix: str) -> dict:
    name = prefix + secrets.token_hex(5)
    return {'handle': f'{name}.test', 'email': f'{name}@mail.com', 'password': PASSWORD}


def admin() -> dict:
    credentials = base64.b64encode(f'admin:{ADMIN_PASSWORD}'.encode()).decode()
    return {'Authorization': f'Basic {credentials}'}


def directory(path: str):
    response = httpx.get(f'{PLC_URL}/{path}')
    response.raise_for_status()
    return response.json()


def server() -> 'models.ComAtprotoServerNamespace':
    return Client(PDS_URL).com.atproto.server


def create(*, headers=None, **fields) -> 'models.ComAtprotoServerCreateAccount.Response':
    data = models.ComAtprotoServerCreateAccount.Data(**fields)
    return server().create_account(data, **({'headers': headers} if headers else {}))


def server_rotation_key() -> str:
    """The rotation key that the server puts last in every identity it makes."""
    return directory(create(**fresh('key')).did + '/data')['rotationKeys'][-1]


class CreateAccount(unittest.TestCase):
    def assertRefused(self, name: str, call) -> None:
        with self.assertRaises((BadRequestError, UnauthorizedError)) as refusal:
            call()
        self.assertEqual(refusal.exception.response.content.error, name)

    def test_every_plain_field_and_login(self):
        code = server().create_invite_code(
            models.ComAtprotoServerCreateInviteCode.Data(use_count=1), headers=admin()
        ).code
        recovery = Keypair().did_key()
        account = fresh('all')

        created = create(**account, invite_code=code, recovery_key=recovery)

        self.assertEqual(created.handle, account['handle'])
        self.assertTrue(created.did.startswith('did:plc:'))
        self.assertTrue(created.access_jwt and created.refresh_jwt)
        self.assertEqual(created.did_doc['id'], created.did)
        self.assertEqual(directory(created.did + '/data')['rotationKeys'][0], recovery)
        self.assertRefused('InvalidInviteCode', lambda: create(**fresh('two'), invite_code=code))

        for identifier in (account['handle'], account['email'], created.did):
            client = Client(PDS_URL)
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                profile = client.login(identifier, PASSWORD)
            self.assertIsNone(profile, 'a PDS without an AppView has no profiles')
            self.assertEqual(client.com.atproto.server.get_session().did, created.did)

    def test_a_session_string_opens_the_session_again(self):
        account = fresh('ses')
        created = create(**account)
        first = Client(PDS_URL)
        first.login(account['handle'], PASSWORD, fetch_bsky_profile=False)
        second = Client(PDS_URL)
        second.login(session_string=first.export_session_string(), fetch_bsky_profile=False)
        self.assertEqual(second.com.atproto.server.get_session().did, created.did)

    def test_verification_fields(self):
        """A server that verifies nothing refuses the fields clearly or takes them; it never fails."""
        account = fresh('ver')
        try:
            created = create(**account, verification_code='123456', verification_phone='+15550100')
        except BadRequestError as refusal:
            self.assertEqual(refusal.response.content.error, 'InvalidRequest')
            self.assertIn('verification', refusal.response.content.message.lower())
            created = create(**account)
        self.assertEqual(created.handle, account['handle'])

    def test_plc_op(self):
        owner = Keypair()
        account = fresh('own')
        reserved = server().reserve_signing_key(models.ComAtprotoServerReserveSigningKey.Data()).signing_key
        genesis = operation(
            signer=owner,
            rotation_keys=[owner.did_key(), server_rotation_key()],
            signing_key=reserved,
            handle=account['handle'],
            endpoint=PDS_URL,
        )
        created = create(**account, plc_op=genesis)
        self.assertEqual(created.did, did_of(genesis))
        self.assertEqual(directory(created.did + '/log'), [genesis])

    def test_did_and_plc_op(self):
        owner, old_key = Keypair(), Keypair()
        account = fresh('mov')
        genesis = operation(
            signer=owner,
            rotation_keys=[owner.did_key()],
            signing_key=old_key.did_key(),
            handle='moved.example.com',
            endpoint='https://elsewhere.example.com',
        )
        did = did_of(genesis)
        httpx.post(f'{PLC_URL}/{did}', json=genesis).raise_for_status()

        reserved = server().reserve_signing_key(models.ComAtprotoServerReserveSigningKey.Data(did=did)).signing_key
        update = operation(
            signer=owner,
            rotation_keys=[owner.did_key(), server_rotation_key()],
            signing_key=reserved,
            handle=account['handle'],
            endpoint=PDS_URL,
            prev=cid_of(genesis),
        )
        self.assertRefused('AuthenticationRequired', lambda: create(**account, did=did, plc_op=update))

        audience = server().describe_server().did
        token = service_token(signer=old_key, did=did, audience=audience, method=METHOD)
        created = create(**account, did=did, plc_op=update, headers={'Authorization': f'Bearer {token}'})
        self.assertEqual(created.did, did)
        self.assertEqual(directory(did + '/log'), [genesis, update])

    def test_refusals_have_their_names(self):
        taken = fresh('tak')
        create(**taken)
        self.assertRefused('HandleNotAvailable', lambda: create(**{**fresh('x'), 'handle': taken['handle']}))
        self.assertRefused('InvalidPassword', lambda: create(**{**fresh('x'), 'password': 'short'}))
        self.assertRefused('UnsupportedDomain', lambda: create(**{**fresh('x'), 'handle': 'someone.com'}))
        self.assertRefused('InvalidRequest', lambda: create(**{**fresh('x'), 'recovery_key': 'did:key:nonsense'}))


if __name__ == '__main__':
    unittest.main(verbosity=2, warnings='ignore')
