// npm @atproto/api and a did:web that the server makes and keeps the document of.
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { test } from 'node:test'
import { ensureAtpDocument } from '@atproto/identity'
import { agent, admin, call, freshAccount, pdsUrl, refused } from '../network.mjs'

// The document at a host, as a resolver would get it: every name under the domain leads to the server.
function documentAt(host) {
  return new Promise((resolve, reject) => {
    get(`${pdsUrl}/.well-known/did.json`, { headers: { host } }, (response) => {
      let text = ''
      response.on('data', (piece) => (text += piece))
      response.on('end', () => resolve(response.statusCode === 200 ? JSON.parse(text) : undefined))
    }).on('error', reject)
  })
}

test('somebody signs up on a did:web, writes, changes the handle, gets another key, and deletes the account', async () => {
  const input = freshAccount('web')
  const did = `did:web:${input.handle}`
  assert.equal(await documentAt(input.handle), undefined)
  const client = agent()
  await client.createAccount({ ...input, did })
  assert.equal(client.session.did, did)
  await client.post({ text: 'from a did:web' })

  const document = await documentAt(input.handle)
  assert.equal(document.id, did)
  const { handle: claimed, pds } = ensureAtpDocument(document)
  assert.deepEqual([claimed, pds], [input.handle, pdsUrl])
  const { data: resolved } = await client.com.atproto.identity.resolveIdentity({ identifier: did })
  assert.deepEqual(resolved.didDoc, document)

  const handle = freshAccount('web').handle
  await client.com.atproto.identity.updateHandle({ handle })
  assert.equal(ensureAtpDocument(await documentAt(input.handle)).handle, handle)
  assert.equal(await documentAt(handle), undefined, 'a handle alone makes no did:web')
  await refused(agent().createAccount({ ...freshAccount('web'), handle: input.handle }), 400, 'HandleNotAvailable')

  const { data: reserved } = await client.com.atproto.server.reserveSigningKey({ did })
  const body = { did, signingKey: reserved.signingKey }
  const changed = await call('POST', 'com.atproto.admin.updateAccountSigningKey', { body, headers: admin() })
  assert.equal(changed.status, 200)
  assert.equal(ensureAtpDocument(await documentAt(input.handle)).signingKey, reserved.signingKey)
  await client.post({ text: 'by another key' })

  const gone = await call('POST', 'com.atproto.admin.deleteAccount', { body: { did }, headers: admin() })
  assert.equal(gone.status, 200)
  assert.equal(await documentAt(input.handle), undefined)
  await refused(agent().createAccount({ ...freshAccount('web'), did, handle: input.handle }), 400, 'IncompatibleDidDoc')
})
