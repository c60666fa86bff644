"""PyPI atproto: posts with and without an image, and the firehose, decoded block by block.

The address comes from the environment, set by `cargo xtask test`: PDS_URL.
"""

import hashlib
import os
import secrets
import struct
import threading
import unittest
import zlib

from atproto import (
    CAR,
    AtUri,
    Client,
    FirehoseSubscribeReposClient,
    models,
    parse_subscribe_repos_message,
)
from atproto.exceptions import BadRequestError

PDS_URL = os.environ['PDS_URL'].rstrip('/')
STREAM_URL = PDS_URL.replace('http', 'ws', 1) + '/xrpc'
PASSWORD = 'correct horse battery'
PATIENCE_SECS = 60


def sign_up(prefix: str) -> Client:
    """A client that is signed in; no AppView tells who it is, so that `did` is put beside it."""
    name = prefix + secrets.token_hex(5)
    account = models.ComAtprotoServerCreateAccount.Data(
        handle=f'{name}.test', email=f'{name}@mail.com', password=PASSWORD
    )
    client = Client(PDS_URL)
    client.did = client.com.atproto.server.create_account(account).did
    client.login(account.handle, PASSWORD, fetch_bsky_profile=False)
    return client


def png(red: int, green: int, blue: int) -> bytes:
    """The smallest picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    head = struct.pack('>IIBBBBB', 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes([0, red, green, blue]))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


def follow(cursor, last, run=lambda: None) -> list:
    """Every message of the stream, until `last` says that one is the last; `run` writes meanwhile."""
    params = None if cursor is None else models.ComAtprotoSyncSubscribeRepos.Params(cursor=cursor)
    stream = FirehoseSubscribeReposClient(params, base_uri=STREAM_URL)
    messages, failures = [], []

    def seen(frame) -> None:
        message = parse_subscribe_repos_message(frame)
        messages.append(message)
        if last(message):
            stream.stop()

    def failed(error: BaseException) -> None:
        failures.append(error)
        stream.stop()

    thread = threading.Thread(target=stream.start, args=(seen, failed), daemon=True)
    thread.start()
    run()
    thread.join(PATIENCE_SECS)
    if failures:
        raise failures[0]
    if thread.is_alive():
        raise AssertionError(f'nothing more came after {len(messages)} messages')
    return messages


def is_commit(message) -> bool:
    return isinstance(message, models.ComAtprotoSyncSubscribeRepos.Commit)


class Records(unittest.TestCase):
    def test_a_post_with_an_image(self):
        client = sign_up('img')
        picture = png(200, 30, secrets.randbelow(256))
        sent = client.send_image('look', picture, 'one pixel', profile_identify=client.did)

        post = client.get_post(AtUri.from_str(sent.uri).rkey, client.did)
        self.assertEqual((post.cid, post.value.text), (sent.cid, 'look'))
        [image] = post.value.embed.images
        self.assertEqual((image.alt, image.image.mime_type, image.image.size), ('one pixel', 'image/png', len(picture)))
        cid = image.image.cid.encode()
        self.assertEqual(image.image.cid.hash.digest, hashlib.sha256(picture).digest())
        params = models.ComAtprotoSyncGetBlob.Params(did=client.did, cid=cid)
        self.assertEqual(client.com.atproto.sync.get_blob(params), picture)
        blobs = client.com.atproto.sync.list_blobs(models.ComAtprotoSyncListBlobs.Params(did=client.did))
        self.assertEqual(blobs.cids, [cid])

        self.assertTrue(client.delete_post(sent.uri))
        with self.assertRaises(BadRequestError):
            client.get_post(AtUri.from_str(sent.uri).rkey, client.did)

    def test_a_like_and_a_follow(self):
        author, reader = sign_up('aut'), sign_up('rea')
        post = author.send_post('hello', profile_identify=author.did)
        subject = models.ComAtprotoRepoStrongRef.Main(uri=post.uri, cid=post.cid)
        now = reader.get_current_time_iso()
        like = models.AppBskyFeedLike.Record(subject=subject, created_at=now)
        liked = reader.app.bsky.feed.like.create(reader.did, like)
        followed = models.AppBskyGraphFollow.Record(subject=author.did, created_at=now)
        reader.app.bsky.graph.follow.create(reader.did, followed)

        stored = reader.app.bsky.feed.like.get(reader.did, AtUri.from_str(liked.uri).rkey)
        self.assertEqual((stored.value.subject.uri, stored.value.subject.cid), (post.uri, post.cid))
        follows = reader.app.bsky.graph.follow.list(reader.did)
        self.assertEqual([record.subject for record in follows.records.values()], [author.did])

    def test_the_export_holds_the_records(self):
        client = sign_up('exp')
        posts = [client.send_post(f'number {number}', profile_identify=client.did) for number in range(5)]
        export = client.com.atproto.sync.get_repo(models.ComAtprotoSyncGetRepo.Params(did=client.did))
        car = CAR.from_bytes(export)
        blocks = {cid.encode(): block for cid, block in car.blocks.items()}
        self.assertEqual(blocks[car.root.encode()]['did'], client.did)
        for number, post in enumerate(posts):
            self.assertEqual(blocks[post.cid]['text'], f'number {number}')


class Firehose(unittest.TestCase):
    def test_commit_blocks_decode_and_hold_what_was_written(self):
        client = sign_up('fir')
        expected = {}

        def write() -> None:
            for number in range(5):
                post = client.send_post(f'number {number}', profile_identify=client.did)
                expected[post.cid] = f'number {number}'
            client.delete_post(post.uri)

        def is_last(message) -> bool:
            actions = [op.action for op in message.ops] if is_commit(message) else []
            return 'delete' in actions and message.repo == client.did

        messages = follow(0, is_last, write)
        mine = [message for message in messages if is_commit(message) and message.repo == client.did and message.ops]
        self.assertEqual([message.ops[0].action for message in mine], ['create'] * 5 + ['delete'])
        found, before = {}, None
        for message in mine:
            car = CAR.from_bytes(message.blocks)
            blocks = {cid.encode(): block for cid, block in car.blocks.items()}
            commit = blocks[car.root.encode()]
            self.assertEqual((car.root, commit['did'], commit['rev']), (message.commit, client.did, message.rev))
            [op] = message.ops
            if op.action == 'create':
                found[op.cid.encode()] = blocks[op.cid.encode()]['text']
            if before:
                self.assertEqual(message.since, before)
            before = message.rev
        self.assertEqual(found, expected)
        seqs = [message.seq for message in messages]
        self.assertEqual(seqs, sorted(set(seqs)))

    def test_a_consumer_goes_on_from_its_cursor(self):
        client = sign_up('cur')
        for number in range(4):
            client.send_post(f'number {number}', profile_identify=client.did)
        latest = client.com.atproto.sync.get_latest_commit(
            models.ComAtprotoSyncGetLatestCommit.Params(did=client.did)
        )

        def is_last(message) -> bool:
            return is_commit(message) and message.repo == client.did and message.rev == latest.rev

        everything = [message.seq for message in follow(0, is_last)]
        middle = everything[-3]
        self.assertEqual([message.seq for message in follow(middle, is_last)], everything[-2:])


if __name__ == '__main__':
    unittest.main(verbosity=2, warnings='ignore')
