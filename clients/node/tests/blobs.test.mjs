// npm @atproto/api: pictures in profiles and posts, from upload to the bytes that others get.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { agent, freshAccount, pdsUrl, refused, signUp } from '../network.mjs'
import { POST, post } from '../records.mjs'

// A picture nobody has: a PNG's signature and bytes that no viewer will be asked to show.
const picture = (bytes = 5000) => Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), randomBytes(bytes)])

const upload = async (client, bytes) => (await client.uploadBlob(bytes, { encoding: 'image/png' })).data.blob
const withImage = (image) => ({
  ...post('look'),
  embed: { $type: 'app.bsky.embed.images', images: [{ alt: 'noise', image }] },
})
const getBlob = (did, cid) => fetch(`${pdsUrl}/xrpc/com.atproto.sync.getBlob?did=${did}&cid=${cid}`)

test('a profile with a picture, and the picture itself', async () => {
  const client = await signUp(freshAccount('ava'))
  const bytes = picture()
  const blob = await upload(client, bytes)
  assert.deepEqual([blob.mimeType, blob.size], ['image/png', bytes.length])
  assert.deepEqual(Buffer.from(blob.ref.multihash.digest), createHash('sha256').update(bytes).digest())

  await client.upsertProfile(() => ({ displayName: 'Alice', avatar: blob }))
  const at = { repo: client.did, collection: 'app.bsky.actor.profile', rkey: 'self' }
  const { data } = await agent().com.atproto.repo.getRecord(at)
  assert.equal(data.value.avatar.ref.toString(), blob.ref.toString())

  const response = await getBlob(client.did, blob.ref)
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'image/png')
  assert.match(response.headers.get('content-security-policy'), /default-src 'none'/)
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes)
  const listed = await agent().com.atproto.sync.listBlobs({ did: client.did })
  assert.deepEqual(listed.data.cids, [blob.ref.toString()])
})

test('a post shows only what was uploaded, and by its own author', async () => {
  const [author, other] = [await signUp(freshAccount('aut')), await signUp(freshAccount('oth'))]
  const blob = await upload(author, picture())
  const create = (client, record) =>
    client.com.atproto.repo.createRecord({ repo: client.did, collection: POST, record })
  await refused(create(other, withImage(blob)), 400, 'BlobNotFound')
  const { data } = await create(author, withImage(blob))
  assert.equal((await getBlob(author.did, blob.ref)).status, 200)
  assert.notEqual((await getBlob(other.did, blob.ref)).status, 200)
  const missing = await author.com.atproto.repo.listMissingBlobs()
  assert.deepEqual(missing.data.blobs, [])

  await author.deletePost(data.uri)
  const listed = await agent().com.atproto.sync.listBlobs({ did: author.did })
  assert.deepEqual(listed.data.cids, [])
})

test('an upload needs a session', async () => {
  await assert.rejects(agent().uploadBlob(picture(), { encoding: 'image/png' }), { status: 401 })
})
